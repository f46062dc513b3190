#include "engine/backend/cpu/gemm.h"

#include <dnnl.h>

#include <algorithm>
#include <stdexcept>

namespace ziptie::cpu {

void gemm(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, Matrix<const float> a,
          Matrix<const float> b, float beta, Matrix<float> c) {
  const auto status = dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, alpha, a.data,
                                 a.stride, b.data, b.stride, beta, c.data, c.stride);
  if (status == dnnl_out_of_memory) throw std::bad_alloc();
  if (status != dnnl_success) throw std::logic_error("oneDNN refuses a matrix product");
}

// float64 is for checking the float32 path, so this is simple rather than fast.
void gemm(std::int64_t m, std::int64_t n, std::int64_t k, double alpha, Matrix<const double> a,
          Matrix<const double> b, double beta, Matrix<double> c) {
  constexpr std::int64_t width = 8, depth = 512, height = 48;
  double panel[depth * width], product[height * width];
  for (std::int64_t column = 0; column < n; column += width) {
    const std::int64_t columns = std::min(width, n - column);
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = column; j < column + columns; ++j)
        c.data[i * c.stride + j] = beta == 0 ? 0 : beta * c.data[i * c.stride + j];
    for (std::int64_t step = 0; step < k; step += depth) {
      const std::int64_t steps = std::min(depth, k - step);
      std::fill(panel, panel + steps * width, 0.0);
      for (std::int64_t p = 0; p < steps; ++p)
        for (std::int64_t j = 0; j < columns; ++j)
          panel[p * width + j] = b.transposed ? b.data[(column + j) * b.stride + step + p]
                                              : b.data[(step + p) * b.stride + column + j];
      for (std::int64_t row = 0; row < m; row += height) {
        const std::int64_t rows = std::min(height, m - row);
        const double* left = a.transposed ? a.data + step * a.stride + row : a.data + row * a.stride + step;
        small_gemm<false>(rows, width, steps, left, a.transposed ? 1 : a.stride, a.transposed ? a.stride : 1,
                          panel, width, product, width);
        for (std::int64_t i = 0; i < rows; ++i)
          for (std::int64_t j = 0; j < columns; ++j)
            c.data[(row + i) * c.stride + column + j] += alpha * product[i * width + j];
      }
    }
  }
}

}  // namespace ziptie::cpu
