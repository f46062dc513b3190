#include <array>
#include <utility>

#include "engine/backend/cpu/linear.h"

namespace ziptie::cpu {

namespace {

/// An adapter as right operands. Panels of `a` have as many rows as the adapters' ranks together.
template <class T>
struct PackedAdapter {
  const Lora& lora;
  std::int64_t first_rank;  ///< its first column of lora_hidden
  T *b_panels = nullptr, *hidden_panels = nullptr;
  T* scaled_a_panels = nullptr;  ///< where adapters are folded into the weight

  std::int64_t r() const { return lora.b.shape[1]; }
  std::int64_t width() const { return lora.b.shape[0]; }
};

/// Gradients of so few elements are summed over parts of the rows, which then stream through the caches once;
/// larger ones are cut into tiles.
constexpr std::int64_t few_elements = 65536;

/// Parts of the rows, each of which has its own sums of `elements`.
template <class T>
class PartialSums {
 public:
  PartialSums(std::int64_t rows, std::int64_t elements)
      : rows_(rows), elements_(elements), length_(tiles(rows, std::clamp<std::int64_t>(rows / 256, 1, 32))) {}

  std::int64_t length() const { return length_; }
  /// Elements of all parts' sums.
  std::int64_t needed() const { return tiles(rows_, length_) * elements_; }
  /// fill(begin, end, to, thread) writes the sums over the rows [begin, end).
  template <class F>
  void fill(const Threads& threads, T* sums, const F& fill) const {
    threads.run_blocks(rows_, length_, [&](std::int64_t begin, std::int64_t end, int thread) {
      fill(begin, end, sums + begin / length_ * elements_, thread);
    });
  }
  /// gradient += the parts' sums from `first` on, in order.
  void add_to(const Threads& threads, const T* sums, std::int64_t first, const Tensor& gradient) const {
    constexpr std::int64_t elements_per_task = 4096;
    threads.run_blocks(gradient.elements(), elements_per_task,
                       [&](std::int64_t begin, std::int64_t end, int) {
                         for (std::int64_t at = first + begin; at < needed(); at += elements_)
                           add_multiple<T>(end - begin, T{1}, sums + at, data<T>(gradient) + begin);
                       });
  }

 private:
  std::int64_t rows_, elements_, length_;
};

template <class T>
void small_weight_gradient(Context context, const T* x, const T* gradient_y, std::int64_t rows,
                           std::int64_t in, std::int64_t out, const Tensor& gradient) {
  const PartialSums<T> parts(rows, in * out);
  T* const sums = context.workspace.shared<T>(parts.needed());
  context.workspace.reserve_per_thread<T>(packed_elements<T>(parts.length(), in));
  parts.fill(context.threads, sums, [&](std::int64_t begin, std::int64_t end, T* to, int thread) {
    T* const panels = context.workspace.of_thread<T>(thread);
    pack_straight<T>({x + begin * in, in}, end - begin, in, end - begin, panels);
    multiply<T>(out, in, end - begin, {gradient_y + begin * out, out, true}, panels, end - begin, false,
                {to, in});
  });
  parts.add_to(context.threads, sums, 0, gradient);
}

/// gradient += Σ over rows of gradient_yᵀ x.
template <class T>
void weight_gradient(Context context, const T* x, const T* gradient_y, std::int64_t rows, std::int64_t in,
                     std::int64_t out, const Tensor& gradient) {
  constexpr std::int64_t enough_tiles = 16;
  if (in * out <= few_elements) return small_weight_gradient(context, x, gradient_y, rows, in, out, gradient);
  const Parts down(rows), across(in);
  T* panels = context.workspace.shared<T>(packed_elements<T>(down.longest(), across.longest()));
  const Tensor input{const_cast<T*>(x), gradient.dtype, 2, {rows, in}};
  for (std::int64_t i = 0; i < across.count(); ++i)
    for (std::int64_t j = 0; j < down.count(); ++j) {
      const PackedPart<T> part{across.begin(i), across.end(i), down.begin(j), down.end(j), panels};
      const std::int64_t columns = part.column_end - part.column;
      const std::array packings{Packing<T>{.source = Rows<T>(input),
                                           .row = part.step,
                                           .rows = part.depth(),
                                           .column = part.column,
                                           .columns = columns,
                                           .transposed = false,
                                           .to = panels}};
      pack<T>(context.threads, packings);
      std::int64_t height = tile_rows, width = tile_columns;
      while (tiles(out, height) * tiles(columns, width) < enough_tiles && width > 2 * panel_columns<T>)
        width /= 2;
      while (tiles(out, height) * tiles(columns, width) < enough_tiles && height > tile_rows / 4) height /= 2;
      const std::int64_t wide = tiles(columns, width);
      context.threads.run(tiles(out, height) * wide, [&](std::int64_t task, int) {
        const std::int64_t row = task / wide * height, column = part.column + task % wide * width;
        multiply<T>(std::min(height, out - row), std::min(width, part.column_end - column), part.depth(),
                    {gradient_y + part.step * out + row, out, true}, part.from(column), part.depth(), true,
                    {data<T>(gradient) + row * in + column, in});
      });
    }
}

/// gradient += Σ over rows of gradient_y.
template <class T>
void bias_gradient(Context context, const T* gradient_y, std::int64_t rows, std::int64_t out, T* gradient) {
  context.threads.run_blocks(out, 64, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t i = begin; i < end; ++i) gradient[i] += gradient_y[row * out + i];
  });
}

/// The adapters' gradients, in tasks that own columns of A or rows of B and go through all rows in order.
template <class T>
class AdapterGradients {
 public:
  AdapterGradients(const Operands<T>& o, std::span<const PackedAdapter<T>> adapters, const T* x,
                   const T* gradient_y, const T* gradient_hidden, std::int64_t rows)
      : o_(o), adapters_(adapters), x_(x), slope_(gradient_y), hidden_slope_(gradient_hidden), rows_(rows) {}

  /// Elements of scratch that `run` needs.
  static std::int64_t needed(const Operands<T>& o, std::int64_t rows) {
    return small(o) ? PartialSums<T>(rows, elements(o)).needed() : 0;
  }

  void run(Context context, T* scratch) {
    if (small(o_)) return run_small(context, scratch);
    std::int64_t tasks = tiles(o_.in, columns_of(o_.in));
    for (const auto& adapter : adapters_) tasks += tiles(adapter.width(), tile_rows);
    context.workspace.reserve_per_thread<T>(2 * rows_at_once * packed_elements<T>(1, columns_of(o_.in)));
    context.threads.run(tasks, [&](std::int64_t task, int thread) {
      const std::int64_t width = columns_of(o_.in);
      if (task < tiles(o_.in, width))
        return a_columns(task * width, std::min(o_.in, (task + 1) * width),
                         context.workspace.of_thread<T>(thread));
      task -= tiles(o_.in, width);
      for (const auto& adapter : adapters_) {
        const std::int64_t count = tiles(adapter.width(), tile_rows);
        if (task < count)
          return add_b(adapter, 0, rows_, task * tile_rows, std::min(adapter.width(), (task + 1) * tile_rows),
                       true, data<T>(adapter.lora.gradient_b) + task * tile_rows * adapter.r());
        task -= count;
      }
    });
  }

 private:
  static std::int64_t elements(const Operands<T>& o) {
    std::int64_t count = o.rank * o.in;
    for (const Lora& lora : o.linear.adapters) count += lora.b.elements();
    return count;
  }
  static bool small(const Operands<T>& o) { return elements(o) <= few_elements; }

  void run_small(Context context, T* sums) const {
    const PartialSums<T> parts(rows_, elements(o_));
    const std::int64_t packed = packed_elements<T>(parts.length(), o_.in);
    context.workspace.reserve_per_thread<T>(2 * packed);
    parts.fill(context.threads, sums, [&](std::int64_t begin, std::int64_t end, T* to, int thread) {
      T* const panels = context.workspace.of_thread<T>(thread);
      add_a(begin, end - begin, 0, o_.in, panels, panels + packed, false, {to, o_.in});
      T* to_b = to + o_.rank * o_.in;
      for (const auto& adapter : adapters_) {
        add_b(adapter, begin, end - begin, 0, adapter.width(), false, to_b);
        to_b += adapter.width() * adapter.r();
      }
    });
    parts.add_to(context.threads, sums, 0, o_.linear.gradient_lora_a);
    std::int64_t first = o_.rank * o_.in;
    for (const auto& adapter : adapters_) {
      parts.add_to(context.threads, sums, first, adapter.lora.gradient_b);
      first += adapter.width() * adapter.r();
    }
  }

  static constexpr std::int64_t rows_at_once = 256;
  /// Multiples of 64, which is how dropout draws.
  static std::int64_t columns_of(std::int64_t in) { return in <= 1024 ? 64 : 256; }

  void a_columns(std::int64_t begin, std::int64_t end, T* scratch) const {
    for (std::int64_t row = 0; row < rows_; row += rows_at_once)
      add_a(row, std::min(rows_at_once, rows_ - row), begin, end, scratch,
            scratch + rows_at_once * round_up(end - begin, panel_columns<T>), true,
            {data<T>(o_.linear.gradient_lora_a) + begin, o_.in});
  }

  /// to = (add: to +) columns [begin, end) of the A matrices' gradient over `count` rows.
  void add_a(std::int64_t row, std::int64_t count, std::int64_t begin, std::int64_t end, T* panels,
             T* dropped, bool add, Matrix<T> to) const {
    const std::int64_t width = end - begin;
    const auto multiply_ranks = [&](std::int64_t first_rank, std::int64_t ranks) {
      multiply<T>(ranks, width, count, {hidden_slope_ + row * o_.rank + first_rank, o_.rank, true}, panels,
                  count, add, {to.data + first_rank * to.stride, to.stride});
    };
    if (!o_.drops) {
      pack_straight<T>({x_ + row * o_.in + begin, o_.in}, count, width, count, panels);
      return multiply_ranks(0, o_.rank);
    }
    for (const auto& adapter : adapters_) {
      o_.drop(x_, row, count, begin, end, adapter.lora.stream, dropped);
      pack_straight<T>({dropped, width}, count, width, count, panels);
      multiply_ranks(adapter.first_rank, adapter.r());
    }
  }

  /// to = (add: to +) rows [begin, end) of an adapter's B matrix' gradient over `count` rows of x.
  void add_b(const PackedAdapter<T>& adapter, std::int64_t row, std::int64_t count, std::int64_t begin,
             std::int64_t end, bool add, T* to) const {
    multiply<T>(end - begin, adapter.r(), count,
                {slope_ + row * o_.out + adapter.lora.first_output + begin, o_.out, true},
                adapter.hidden_panels + row * panel_columns<T>, rows_, add, {to, adapter.r()});
  }

  const Operands<T>& o_;
  std::span<const PackedAdapter<T>> adapters_;
  const T *x_, *slope_, *hidden_slope_;
  std::int64_t rows_;
};

/// part += the adapters' scale · b a.
template <class T>
void fold(const Threads& threads, std::span<const PackedAdapter<T>> adapters, const PackedPart<T>& part,
          T* panels) {
  constexpr std::int64_t width = panel_columns<T>;
  threads.run(tiles(part.column_end - part.column, width), [&](std::int64_t index, int) {
    const std::int64_t column = part.column + index * width;
    for (const auto& adapter : adapters) {
      const std::int64_t first = adapter.lora.first_output, begin = std::max(first, part.step);
      const std::int64_t end = std::min(first + adapter.width(), part.step_end);
      if (begin < end)
        multiply<T>(end - begin, width, adapter.r(),
                    {data<const T>(adapter.lora.b) + (begin - first) * adapter.r(), adapter.r()},
                    adapter.scaled_a_panels + column * adapter.r(), adapter.r(), true,
                    {panels + index * width * part.depth() + (begin - part.step) * width, width});
    }
  });
}

/// What one part of the weight contributes to a tile of gradient_x; the last part of its rows adds the
/// adapters, unless they are folded into it.
template <class T>
void backward_tile(const Operands<T>& o, std::span<const PackedAdapter<T>> adapters, const T* gradient_y,
                   const T* gradient_hidden, const T* a_panels, const PackedPart<T>& part, std::int64_t begin,
                   std::int64_t end, std::int64_t column, std::int64_t column_end, bool folded, T* gradient_x,
                   T* scratch) {
  const std::int64_t rows = end - begin, columns = column_end - column;
  const Matrix<T> tile{gradient_x + begin * o.in + column, o.in};
  multiply<T>(rows, columns, part.depth(), {gradient_y + begin * o.out + part.step, o.out}, part.from(column),
              part.depth(), part.step > 0, tile);
  if (part.step_end < o.out || o.rank == 0 || folded) return;
  if (!o.drops) {
    multiply<T>(rows, columns, o.rank, {gradient_hidden + begin * o.rank, o.rank}, a_panels + column * o.rank,
                o.rank, true, tile);
    return;
  }
  for (const auto& adapter : adapters) {
    multiply<T>(rows, columns, adapter.r(), {gradient_hidden + begin * o.rank + adapter.first_rank, o.rank},
                a_panels + column * o.rank + adapter.first_rank * panel_columns<T>, o.rank, false,
                {scratch, columns});
    for (std::int64_t row = 0; row < rows; ++row)
      dropout_row<true>(o.dropout, adapter.lora.stream, o.first_row + begin + row, column, column_end,
                        scratch + row * columns, tile.data + row * o.in);
  }
}

}  // namespace

template <class T>
void linear_backward(Context context, const Tensor& x, const Linear& linear, const Dropout& dropout,
                     const Tensor& lora_hidden, const Tensor& gradient_y, const Tensor& gradient_x,
                     std::int64_t first_row) {
  const Operands<T> o(linear, dropout, first_row);
  const std::int64_t rows = gradient_y.shape[0];
  const T *input = data<const T>(x), *slope = data<const T>(gradient_y);
  T* to_x = data<T>(gradient_x);
  if (rows == 0) return;
  if (linear.gradient) weight_gradient(context, input, slope, rows, o.in, o.out, *linear.gradient);
  if (linear.gradient_bias) bias_gradient(context, slope, rows, o.out, data<T>(*linear.gradient_bias));

  const Parts down(o.out), across(o.in);
  std::vector<PackedAdapter<T>> adapters;
  std::int64_t first_rank = 0;
  std::int64_t needed = to_x ? packed_elements<T>(down.longest(), across.longest()) : 0;
  needed += packed_elements<T>(o.rank, o.in) + rows * o.rank + AdapterGradients<T>::needed(o, rows);
  for (const Lora& lora : linear.adapters) {
    adapters.push_back({lora, first_rank});
    first_rank += lora.b.shape[1];
    needed +=
        packed_elements<T>(lora.b.shape[0], lora.b.shape[1]) + packed_elements<T>(rows, lora.b.shape[1]);
  }
  T* free = context.workspace.shared<T>(needed);
  if (o.drops) context.workspace.reserve_per_thread<T>(tile_rows * whole_columns);
  std::vector<Packing<T>> packings;
  const auto take = [&](std::int64_t elements) { return std::exchange(free, free + elements); };
  for (auto& adapter : adapters) {
    adapter.b_panels = take(packed_elements<T>(adapter.width(), adapter.r()));
    adapter.hidden_panels = take(packed_elements<T>(rows, adapter.r()));
    const T scale = static_cast<T>(adapter.lora.scale);
    packings.push_back({.source = Rows<T>(adapter.lora.b),
                        .rows = adapter.width(),
                        .columns = adapter.r(),
                        .transposed = false,
                        .to = adapter.b_panels,
                        .scale = scale});
    packings.push_back({.source = Rows<T>(lora_hidden),
                        .rows = rows,
                        .column = adapter.first_rank,
                        .columns = adapter.r(),
                        .transposed = false,
                        .to = adapter.hidden_panels,
                        .scale = scale});
  }
  T* const gradient_hidden = take(rows * o.rank);
  T* const a_panels = take(packed_elements<T>(o.rank, o.in));
  T* const gradient_scratch = take(AdapterGradients<T>::needed(o, rows));
  T* const weight_panels = free;
  const bool folded = to_x && folds(rows, o.out, o.drops);
  for (auto& adapter : adapters) {
    if (!folded) break;
    adapter.scaled_a_panels = a_panels + packed_elements<T>(adapter.first_rank, o.in);
    packings.push_back({.source = Rows<T>(linear.lora_a),
                        .row = adapter.first_rank,
                        .rows = adapter.r(),
                        .columns = o.in,
                        .transposed = false,
                        .to = adapter.scaled_a_panels,
                        .scale = static_cast<T>(adapter.lora.scale)});
  }
  if (o.rank > 0 && to_x && !folded)
    packings.push_back({.source = Rows<T>(linear.lora_a),
                        .rows = o.rank,
                        .columns = o.in,
                        .transposed = false,
                        .to = a_panels});
  const auto hide = [&](std::int64_t begin, std::int64_t end, int) {
    for (const auto& adapter : adapters)
      multiply<T>(end - begin, adapter.r(), adapter.width(),
                  {slope + begin * o.out + adapter.lora.first_output, o.out}, adapter.b_panels,
                  adapter.width(), false, {gradient_hidden + begin * o.rank + adapter.first_rank, o.rank});
  };
  const bool one_tile_wide = to_x && across.count() == 1 && o.in <= whole_columns;
  if (o.rank > 0 && !one_tile_wide) {
    pack<T>(context.threads, packings);
    packings.clear();
    context.threads.run_blocks(rows, tile_rows, hide);
  }
  if (to_x)
    for (std::int64_t i = 0; i < across.count(); ++i)
      for (std::int64_t j = 0; j < down.count(); ++j) {
        const PackedPart<T> part{across.begin(i), across.end(i), down.begin(j), down.end(j), weight_panels};
        packings.push_back({.source = o.weight,
                            .row = part.step,
                            .rows = part.depth(),
                            .column = part.column,
                            .columns = part.column_end - part.column,
                            .transposed = false,
                            .to = weight_panels});
        pack<T>(context.threads, packings);
        if (folded) fold<T>(context.threads, adapters, part, weight_panels);
        packings.clear();
        for_tiles(context.threads, rows, part,
                  [&](std::int64_t begin, std::int64_t end, std::int64_t column, std::int64_t column_end,
                      int thread) {
                    if (one_tile_wide && j == 0) hide(begin, end, thread);
                    backward_tile<T>(o, adapters, slope, gradient_hidden, a_panels, part, begin, end, column,
                                     column_end, folded, to_x, context.workspace.of_thread<T>(thread));
                  });
      }
  if (o.rank > 0)
    AdapterGradients<T>(o, adapters, input, slope, gradient_hidden, rows).run(context, gradient_scratch);
}

template void linear_backward<float>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                     const Tensor&, const Tensor&, std::int64_t);
template void linear_backward<double>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                      const Tensor&, const Tensor&, std::int64_t);

}  // namespace ziptie::cpu
