#pragma once
#include <cstdint>

#include "engine/backend/cpu/vector.h"

namespace ziptie::cpu {

namespace detail {

template <class T, int Rows, int Vectors, bool Add>
inline void tile(std::int64_t k, const T* a, std::int64_t a_row, std::int64_t a_column, const T* b,
                 std::int64_t b_stride, T* c, std::int64_t c_stride) {
  Vector<T> sums[Rows][Vectors] = {};
  for (std::int64_t step = 0; step < k; ++step) {
    Vector<T> right[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) right[v] = load(b + step * b_stride + v * lanes<T>);
#pragma GCC unroll 12
    for (int row = 0; row < Rows; ++row) {
      const auto left = broadcast(a[row * a_row + step * a_column]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sums[row][v] += left * right[v];
    }
  }
#pragma GCC unroll 12
  for (int row = 0; row < Rows; ++row)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      T* to = c + row * c_stride + v * lanes<T>;
      store(to, Add ? load(to) + sums[row][v] : sums[row][v]);
    }
}

/// The last rows, fewer than `Rows`.
template <class T, int Rows, int Vectors, bool Add>
inline void tile_rest(std::int64_t rows, std::int64_t k, const T* a, std::int64_t a_row,
                      std::int64_t a_column, const T* b, std::int64_t b_stride, T* c, std::int64_t c_stride) {
  if constexpr (Rows > 1) {
    if (rows < Rows - 1)
      tile_rest<T, Rows - 1, Vectors, Add>(rows, k, a, a_row, a_column, b, b_stride, c, c_stride);
    else
      tile<T, Rows - 1, Vectors, Add>(k, a, a_row, a_column, b, b_stride, c, c_stride);
  }
}

template <class T, int Vectors, bool Add>
inline void tile_columns(std::int64_t m, std::int64_t k, const T* a, std::int64_t a_row,
                         std::int64_t a_column, const T* b, std::int64_t b_stride, T* c,
                         std::int64_t c_stride) {
  constexpr int rows =
      12 / Vectors;  // twelve sums hide the latency of an FMA and leave registers for operands
  std::int64_t row = 0;
  for (; row + rows <= m; row += rows)
    tile<T, rows, Vectors, Add>(k, a + row * a_row, a_row, a_column, b, b_stride, c + row * c_stride,
                                c_stride);
  if (row < m)
    tile_rest<T, rows, Vectors, Add>(m - row, k, a + row * a_row, a_row, a_column, b, b_stride,
                                     c + row * c_stride, c_stride);
}

}  // namespace detail

/// c[m, n] = (Add: c +) a b for operands that fit in the caches: no packing, no call overhead. a(i, j) is at
/// `a[i · a_row + j · a_column]`; n is a whole number of vectors. Sums over k in order, so a row's result
/// does not depend on its neighbours.
template <bool Add, class T>
inline void small_gemm(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t a_row,
                       std::int64_t a_column, const T* b, std::int64_t b_stride, T* c,
                       std::int64_t c_stride) {
  std::int64_t column = 0;
  for (; column + 3 * lanes<T> <= n && column + 4 * lanes<T> != n; column += 3 * lanes<T>)
    detail::tile_columns<T, 3, Add>(m, k, a, a_row, a_column, b + column, b_stride, c + column, c_stride);
  for (; column + 2 * lanes<T> <= n; column += 2 * lanes<T>)
    detail::tile_columns<T, 2, Add>(m, k, a, a_row, a_column, b + column, b_stride, c + column, c_stride);
  if (column < n)
    detail::tile_columns<T, 1, Add>(m, k, a, a_row, a_column, b + column, b_stride, c + column, c_stride);
}

}  // namespace ziptie::cpu
