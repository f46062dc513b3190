#pragma once
// Matrix products by vectors of 64 bytes, for processors that have them: two packed panels at a time. Each
// source that includes this is compiled for another instruction set, so everything in it is the source's own,
// and nothing of the standard library's is used, whose copy of one source the linker might give to another.

#include <cstdint>

namespace ziptie::cpu {
namespace {

typedef float Wide __attribute__((vector_size(64), aligned(4)));

/// Twelve rows by two vectors: twenty-four sums of the thirty-two registers.
constexpr int wide_rows = 12;

template <int Rows>
void wide_kernel(std::int64_t k, const float* __restrict a, std::int64_t a_row, std::int64_t a_step,
                 const float* __restrict b, std::int64_t b_panel, bool add, float* __restrict c,
                 std::int64_t c_row) {
  Wide sums[Rows][2] = {};
  for (std::int64_t step = 0; step < k; ++step) {
    const Wide left = *reinterpret_cast<const Wide*>(b), right = *reinterpret_cast<const Wide*>(b + b_panel);
#pragma GCC unroll 12
    for (int row = 0; row < Rows; ++row) {
      const Wide factor = a[row * a_row] - Wide{};
      sums[row][0] += factor * left;
      sums[row][1] += factor * right;
    }
    a += a_step;
    b += 16;
  }
#pragma GCC unroll 12
  for (int row = 0; row < Rows; ++row)
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      Wide* to = reinterpret_cast<Wide*>(c + row * c_row + 16 * half);
      *to = add ? *to + sums[row][half] : sums[row][half];
    }
}

template <int Rows>
void wide_rest(std::int64_t m, std::int64_t k, const float* a, std::int64_t a_row, std::int64_t a_step,
               const float* b, std::int64_t b_panel, bool add, float* c, std::int64_t c_row) {
  if constexpr (Rows > 0) {
    if (m == Rows)
      wide_kernel<Rows>(k, a, a_row, a_step, b, b_panel, add, c, c_row);
    else
      wide_rest<Rows - 1>(m, k, a, a_row, a_step, b, b_panel, add, c, c_row);
  }
}

/// c[m, 32] = (add: c +) a times the panels at `b` and `b + b_panel`.
void multiply_two_panels(std::int64_t m, std::int64_t k, const float* a, std::int64_t a_row,
                         std::int64_t a_step, const float* b, std::int64_t b_panel, bool add, float* c,
                         std::int64_t c_row) {
  for (; m >= wide_rows; m -= wide_rows, a += wide_rows * a_row, c += wide_rows * c_row)
    wide_kernel<wide_rows>(k, a, a_row, a_step, b, b_panel, add, c, c_row);
  wide_rest<wide_rows - 1>(m, k, a, a_row, a_step, b, b_panel, add, c, c_row);
}

}  // namespace
}  // namespace ziptie::cpu
