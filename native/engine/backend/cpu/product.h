#pragma once
// Matrix products on the calling thread, whose right operand was packed before.

#include "engine/backend/cpu/vector.h"

namespace ziptie::cpu {

/// A matrix in row-major memory, `stride` elements from row to row, perhaps to be read transposed.
template <class T>
struct Matrix {
  T* data;
  std::int64_t stride;
  bool transposed = false;
};

/// Columns of a panel. A packed operand b[k, n] is a sequence of panels; a panel holds so many columns of b,
/// row by row, zero where b has no more columns.
template <class T>
inline constexpr std::int64_t panel_columns = 2 * lanes<T>;

constexpr std::int64_t round_up(std::int64_t n, std::int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

template <class T>
constexpr std::int64_t packed_elements(std::int64_t k, std::int64_t n) {
  return k * round_up(n, panel_columns<T>);
}

/// One panel of `fromᵀ`: `rows` ≤ panel_columns rows of `from`, `k` long, become its columns from `skip` on;
/// the others are zero.
template <class T>
void pack_transposed(Matrix<const T> from, std::int64_t rows, std::int64_t k, std::int64_t skip, T* panel);

/// `k` rows of `from`, `n` long, as rows of panels that are `depth` rows apart.
template <class T>
void pack_straight(Matrix<const T> from, std::int64_t k, std::int64_t n, std::int64_t depth, T* panels);

/// c[m, n] = (add: c +) a[m, k] b, where b's panels have `depth` ≥ k rows, of which the first k from `panels`
/// on count. Each element of c is summed over k in one order, whatever m and n
/// and however wide the processor's vectors.
template <class T>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<const T> a, const T* panels,
              std::int64_t depth, bool add, Matrix<T> c);

}  // namespace ziptie::cpu
