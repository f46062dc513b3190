#pragma once
// What the forward and backward passes of linear layers share. A weight is packed one part at a time, once
// for all rows; then tiles of the result are computed, each by one thread. How work is cut follows from
// shapes alone, so sums have one order whatever the number of threads.

#include "engine/backend/cpu/dropout.h"
#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/packing.h"
#include "engine/backend/cpu/product.h"

namespace ziptie::cpu {

/// Rows and columns of a tile of the result, and of the part of a weight that is packed at a time.
inline constexpr std::int64_t tile_rows = 96, tile_columns = 256, part_edge = 1024;
/// Up to so many columns are one tile, so that small layers are few tasks.
inline constexpr std::int64_t whole_columns = 512;
/// Up to so many rows a weight is read once as it lies: packing it would cost more than the product.
inline constexpr std::int64_t few_rows = 4;

/// Adapters are folded into the packed weight, scale · b a, where there are so many rows to a row of it that
/// this costs less than their own products with every row; dropout needs those.
constexpr bool folds(std::int64_t rows, std::int64_t folded_length, bool drops) {
  return !drops && rows >= 3 * folded_length;
}

/// [0, n) in parts of at most `part_edge`, as equal as multiples of 64 can be.
class Parts {
 public:
  explicit Parts(std::int64_t n) : n_(n), length_(round_up(tiles(n, tiles(n, part_edge)), 64)) {}
  std::int64_t count() const { return tiles(n_, length_); }
  std::int64_t begin(std::int64_t part) const { return part * length_; }
  std::int64_t end(std::int64_t part) const { return std::min(n_, (part + 1) * length_); }
  std::int64_t longest() const { return std::min(n_, length_); }

 private:
  std::int64_t n_, length_;
};

/// A part of a packed operand b[k, n]: columns [column, column_end), rows [step, step_end).
template <class T>
struct PackedPart {
  std::int64_t column, column_end, step, step_end;
  const T* panels;

  std::int64_t depth() const { return step_end - step; }
  /// The panels from column `at` on.
  const T* from(std::int64_t at) const { return panels + (at - column) * depth(); }
};

/// f(row, row_end, column, column_end, thread) for the tiles of `rows` rows and the part's columns.
template <class T, class F>
void for_tiles(const Threads& threads, std::int64_t rows, const PackedPart<T>& part, const F& f) {
  const std::int64_t columns = part.column_end - part.column;
  const std::int64_t width = columns <= whole_columns ? columns : tile_columns,
                     across = tiles(columns, width);
  threads.run(tiles(rows, tile_rows) * across, [&](std::int64_t task, int thread) {
    const std::int64_t row = task / across * tile_rows, column = part.column + task % across * width;
    f(row, std::min(rows, row + tile_rows), column, std::min(part.column_end, column + width), thread);
  });
}

/// A linear layer's tensors.
template <class T>
struct Operands {
  Operands(const Linear& linear, const Dropout& dropout, std::int64_t first_row)
      : linear(linear), dropout(dropout), first_row(first_row) {}

  const Linear& linear;
  const Dropout& dropout;
  const std::int64_t first_row;  ///< of dropout masks
  const std::int64_t in = linear.weight.shape[1], out = linear.weight.shape[0];
  const std::int64_t rank = linear.lora_a.data ? linear.lora_a.shape[0] : 0;
  const bool drops = rank > 0 && dropout.probability != 0;
  const Rows<T> weight{linear.weight, linear.quantized};

  /// Columns [begin, end) of rows [row, row + rows) of `x`, dropped out for one adapter, into `to`.
  /// `begin` is a multiple of 64.
  void drop(const T* x, std::int64_t row, std::int64_t rows, std::int64_t begin, std::int64_t end,
            std::uint32_t stream, T* to) const {
    for (std::int64_t i = 0; i < rows; ++i)
      dropout_row<false>(dropout, stream, first_row + row + i, begin, end, x + (row + i) * in + begin,
                         to + i * (end - begin));
  }
};

}  // namespace ziptie::cpu
