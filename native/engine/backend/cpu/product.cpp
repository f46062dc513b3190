// The scheme of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): blocks of
// the left operand stay in the second-level cache, a panel of the right one in the first, and sums in
// registers.

#include "engine/backend/cpu/product.h"

#include <immintrin.h>

#include <algorithm>

namespace ziptie::cpu {

/// In product_avx512.cpp: what product_wide.h says.
void multiply_two_panels_avx512(std::int64_t m, std::int64_t k, const float* a, std::int64_t a_row,
                                std::int64_t a_step, const float* b, std::int64_t b_panel, bool add, float* c,
                                std::int64_t c_row);

namespace {

const bool has_avx512 = __builtin_cpu_supports("avx512f");

/// Six rows by two vectors: twelve sums hide the latency of an FMA and leave registers for the operands.
constexpr std::int64_t kernel_rows = 6, block_rows = 96;
template <class T>
constexpr std::int64_t block_depth = 1536 / sizeof(T);

template <class T, int Rows, bool Add>
void kernel(std::int64_t k, const T* __restrict a, std::int64_t a_row, std::int64_t a_step,
            const T* __restrict b, T* __restrict c, std::int64_t c_row) {
  Vector<T> sums[Rows][2] = {};
#pragma GCC unroll 4
  for (std::int64_t step = 0; step < k; ++step) {
    const auto left = load(b), right = load(b + lanes<T>);
#pragma GCC unroll 6
    for (int row = 0; row < Rows; ++row) {
      const auto factor = broadcast(a[row * a_row]);
      sums[row][0] += factor * left;
      sums[row][1] += factor * right;
    }
    a += a_step;
    b += panel_columns<T>;
  }
#pragma GCC unroll 6
  for (int row = 0; row < Rows; ++row) {
    T* to = c + row * c_row;
    store<T>(to, Add ? load(to) + sums[row][0] : sums[row][0]);
    store<T>(to + lanes<T>, Add ? load(to + lanes<T>) + sums[row][1] : sums[row][1]);
  }
}

template <class T>
using Kernel = void (*)(std::int64_t, const T*, std::int64_t, std::int64_t, const T*, T*, std::int64_t);

/// By the number of rows less one.
template <class T, bool Add>
constexpr Kernel<T> kernels[kernel_rows] = {kernel<T, 1, Add>, kernel<T, 2, Add>, kernel<T, 3, Add>,
                                            kernel<T, 4, Add>, kernel<T, 5, Add>, kernel<T, 6, Add>};

/// c = (add: c +) a times one panel.
template <class T>
void multiply_panel(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t a_row,
                    std::int64_t a_step, const T* panel, bool add, Matrix<T> c) {
  for (std::int64_t row = 0; row < m; row += kernel_rows) {
    const std::int64_t rows = std::min(kernel_rows, m - row);
    T* to = c.data + row * c.stride;
    if (n == panel_columns<T>) {
      (add ? kernels<T, true> : kernels<T, false>)[rows - 1](k, a + row * a_row, a_row, a_step, panel, to,
                                                             c.stride);
      continue;
    }
    T edge[kernel_rows * panel_columns<T>];
    kernels<T, false>[rows - 1](k, a + row * a_row, a_row, a_step, panel, edge, panel_columns<T>);
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        to[i * c.stride + j] = (add ? to[i * c.stride + j] : T{0}) + edge[i * panel_columns<T> + j];
  }
}

}  // namespace

template <class T>
void pack_transposed(Matrix<const T> from, std::int64_t rows, std::int64_t k, std::int64_t skip, T* panel) {
  constexpr std::int64_t width = panel_columns<T>;
  std::int64_t done = 0;
  if constexpr (sizeof(T) == sizeof(float))
    if (rows == width)
      for (; done + 8 <= k; done += 8)
        for (std::int64_t half = 0; half < width; half += 8)
          transpose_block(from.data + half * from.stride + done, from.stride, 1.0f,
                          panel + done * width + half, width);
  if (rows < width) std::fill(panel, panel + k * width, T{0});
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t step = done; step < k; ++step)
      panel[step * width + skip + row] = from.data[row * from.stride + step];
}

template <class T>
void pack_straight(Matrix<const T> from, std::int64_t k, std::int64_t n, std::int64_t depth, T* panels) {
  constexpr std::int64_t width = panel_columns<T>;
  for (std::int64_t step = 0; step < k; ++step) {
    const T* row = from.data + step * from.stride;
    T* to = panels + step * width;
    std::int64_t column = 0;
    for (; column + width <= n; column += width, to += depth * width) {
      store(to, load(row + column));
      store(to + lanes<T>, load(row + column + lanes<T>));
    }
    if (column < n)
      for (std::int64_t i = 0; i < width; ++i) to[i] = column + i < n ? row[column + i] : T{0};
  }
}

template <class T>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<const T> a, const T* panels,
              std::int64_t depth, bool add, Matrix<T> c) {
  constexpr std::int64_t width = panel_columns<T>, padded_depth = block_depth<T> + 16;
  alignas(64) T copy[block_rows * padded_depth];
  const std::int64_t parts = std::max<std::int64_t>(1, (k + block_depth<T> - 1) / block_depth<T>);
  const std::int64_t part = round_up((k + parts - 1) / parts, 8);
  for (std::int64_t step = 0; step < k; step += part) {
    const std::int64_t steps = std::min(part, k - step);
    for (std::int64_t first = 0; first < m; first += block_rows) {
      const std::int64_t rows = std::min(block_rows, m - first);
      const T* block = a.transposed ? a.data + step * a.stride + first : a.data + first * a.stride + step;
      std::int64_t a_row = a.transposed ? 1 : a.stride, a_step = a.transposed ? a.stride : 1;
      // A copy spares the address translation, whose cache a column of a wide matrix overruns, and rows
      // that fall on the same places of the first-level cache.
      if (a.transposed) {
        for (std::int64_t i = 0; i < steps; ++i)
          std::copy_n(block + i * a.stride, rows, copy + i * block_rows);
        block = copy;
        a_step = block_rows;
      } else if (n > 4 * width && rows > kernel_rows) {
        for (std::int64_t i = 0; i < rows; ++i)
          std::copy_n(block + i * a.stride, steps, copy + i * padded_depth);
        block = copy;
        a_row = padded_depth;
      }
      const T* panel = panels + step * width;
      T* to = c.data + first * c.stride;
      std::int64_t column = 0;
      if constexpr (sizeof(T) == sizeof(float))
        for (; has_avx512 && column + 2 * width <= n; column += 2 * width)
          multiply_two_panels_avx512(rows, steps, block, a_row, a_step, panel + column * depth, depth * width,
                                     add || step > 0, to + column, c.stride);
      for (; column < n; column += width)
        multiply_panel(rows, std::min(width, n - column), steps, block, a_row, a_step, panel + column * depth,
                       add || step > 0, Matrix<T>{to + column, c.stride});
    }
  }
}

#define ZIPTIE_INSTANTIATE(T)                                                                      \
  template void pack_transposed<T>(Matrix<const T>, std::int64_t, std::int64_t, std::int64_t, T*); \
  template void pack_straight<T>(Matrix<const T>, std::int64_t, std::int64_t, std::int64_t, T*);   \
  template void multiply<T>(std::int64_t, std::int64_t, std::int64_t, Matrix<const T>, const T*,   \
                            std::int64_t, bool, Matrix<T>);
ZIPTIE_INSTANTIATE(float)
ZIPTIE_INSTANTIATE(double)

}  // namespace ziptie::cpu
