#pragma once
// Weights in whatever form they are stored, read in blocks and packed for products.

#include <algorithm>
#include <span>

#include "engine/backend/bfloat16.h"
#include "engine/backend/cpu/nf4.h"
#include "engine/backend/cpu/product.h"

namespace ziptie::cpu {

inline std::int64_t tiles(std::int64_t n, std::int64_t tile) { return (n + tile - 1) / tile; }

/// The rows of a matrix of the op's type, bfloat16 or NF4.
template <class T>
class Rows {
 public:
  explicit Rows(const Tensor& matrix) : matrix_(matrix) {}
  Rows(const Tensor& matrix, std::span<const Nf4> quantized) : matrix_(matrix), quantized_(quantized) {}

  bool converted() const { return !quantized_.empty() || matrix_.dtype == DType::bf16; }

  /// Rows [row, row + rows), columns [column, column + columns): where they lie or, where they have to be
  /// converted, in `scratch` [rows · columns].
  Matrix<const T> block(std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns,
                        T* scratch) const {
    const std::int64_t width = matrix_.shape[1];
    if (!converted()) return {data<const T>(matrix_) + row * width + column, width};
    for (std::int64_t i = 0; i < rows; ++i) read(row + i, column, columns, scratch + i * columns);
    return {scratch, columns};
  }

 private:
  void read(std::int64_t row, std::int64_t column, std::int64_t columns, T* to) const {
    const std::int64_t width = matrix_.shape[1];
    if (quantized_.empty()) {
      const auto* from = data<const std::uint16_t>(matrix_) + row * width + column;
      for (std::int64_t i = 0; i < columns; ++i) to[i] = from_bf16(from[i]);
      return;
    }
    const auto part =
        std::ranges::find_if(quantized_, [&](const Nf4& nf4) { return row < nf4.first_output + nf4.rows; });
    const std::int64_t begin = (row - part->first_output) * width + column;
    if constexpr (sizeof(T) == sizeof(float)) {
      decode_nf4(*part, begin, columns, to);
    } else {
      constexpr std::int64_t piece = 256;
      float narrow_values[piece];
      for (std::int64_t i = 0; i < columns; i += piece) {
        const std::int64_t n = std::min(piece, columns - i);
        decode_nf4(*part, begin + i, n, narrow_values);
        std::copy_n(narrow_values, n, to + i);
      }
    }
  }

  Tensor matrix_;
  std::span<const Nf4> quantized_;
};

/// A block of a matrix, or its transpose, to be packed as the right operand of products.
template <class T>
struct Packing {
  Rows<T> source;
  std::int64_t row = 0, rows = 0, column = 0, columns = 0;  ///< of the source
  bool transposed = false;
  T* to = nullptr;  ///< packed_elements; depth `columns` when transposed, else `rows`
  T scale = 1;
  std::int64_t skip = 0;  ///< columns of zeros in front of the first panel's; only transposed

  static constexpr std::int64_t unit_columns = 256;

  std::int64_t units() const { return tiles(rows + skip, panel_columns<T>) * tiles(columns, unit_columns); }
  void run(std::int64_t unit) const {
    constexpr std::int64_t height = panel_columns<T>;
    const std::int64_t across = tiles(columns, unit_columns), band = unit / across;
    const std::int64_t first = std::max<std::int64_t>(0, band * height - skip);
    const std::int64_t count = std::min(rows, (band + 1) * height - skip) - first;
    const std::int64_t begin = unit % across * unit_columns, width = std::min(unit_columns, columns - begin);
    alignas(64) T scratch[height * unit_columns];
    Matrix<const T> from = source.block(row + first, count, column + begin, width, scratch);
    if (scale != T{1}) {
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t j = 0; j < width; ++j)
          scratch[i * width + j] = from.data[i * from.stride + j] * scale;
      from = {scratch, width};
    }
    if (transposed)
      pack_transposed<T>(from, count, width, band == 0 ? skip : 0, to + (band * columns + begin) * height);
    else
      pack_straight<T>(from, count, width, rows, to + (begin * rows + first * height));
  }
};

/// Packs all of them.
template <class T>
void pack(const Threads& threads, std::span<const Packing<T>> packings) {
  std::int64_t units = 0;
  for (const auto& packing : packings) units += packing.units();
  constexpr std::int64_t units_per_task = 4;
  threads.run_blocks(units, units_per_task, [&](std::int64_t begin, std::int64_t end, int) {
    std::int64_t first = 0;
    for (const auto& packing : packings) {
      const std::int64_t last = first + packing.units();
      for (std::int64_t unit = std::max(begin, first); unit < std::min(end, last); ++unit)
        packing.run(unit - first);
      first = last;
    }
  });
}

}  // namespace ziptie::cpu
