#include "engine/backend/cpu/linear.h"

namespace ziptie::cpu {

namespace {

/// An adapter as right operands.
template <class T>
struct PackedAdapter {
  const Lora& lora;
  std::int64_t first_rank;  ///< its first column of lora_hidden
  /// y's columns that B's panels cover: whole panels, so that tiles begin with one.
  std::int64_t begin, end;
  T *a_panels = nullptr, *b_panels = nullptr;

  std::int64_t r() const { return lora.b.shape[1]; }
};

/// A pass over a few rows, as in generation.
template <class T>
void forward_few(Context context, const Operands<T>& o, const T* x, std::int64_t rows, T* y, T* hidden) {
  constexpr std::int64_t outputs_per_task = 32;
  context.workspace.reserve_per_thread<T>(rows * o.in);
  std::int64_t first = 0;
  for (const Lora& lora : o.linear.adapters) {
    const T* input = x;
    const std::int64_t r = lora.b.shape[1];
    if (o.drops) {
      T* dropped = context.workspace.of_thread<T>(0);
      o.drop(x, 0, rows, 0, o.in, lora.stream, dropped);
      input = dropped;
    }
    context.threads.run(r, [&](std::int64_t i, int) {
      for (std::int64_t row = 0; row < rows; ++row)
        hidden[row * o.rank + first + i] =
            dot(o.in, input + row * o.in, data<const T>(o.linear.lora_a) + (first + i) * o.in);
    });
    first += r;
  }
  context.threads.run_blocks(o.out, outputs_per_task, [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto weight = o.weight.block(i, 1, 0, o.in, context.workspace.of_thread<T>(thread));
      const T bias = o.linear.bias.data ? data<const T>(o.linear.bias)[i] : T{0};
      for (std::int64_t row = 0; row < rows; ++row)
        y[row * o.out + i] = dot(o.in, x + row * o.in, weight.data) + bias;
    }
    std::int64_t column = 0;
    for (const Lora& lora : o.linear.adapters) {
      const std::int64_t r = lora.b.shape[1];
      const std::int64_t to = std::min(end, lora.first_output + lora.b.shape[0]);
      for (std::int64_t i = std::max(begin, lora.first_output); i < to; ++i)
        for (std::int64_t row = 0; row < rows; ++row)
          y[row * o.out + i] +=
              static_cast<T>(lora.scale) *
              dot(r, hidden + row * o.rank + column, data<const T>(lora.b) + (i - lora.first_output) * r);
      column += r;
    }
  });
}

/// lora_hidden = dropout(x) aᵀ for rows [begin, end).
template <class T>
void hidden_rows(const Operands<T>& o, std::span<const PackedAdapter<T>> adapters, const T* x,
                 std::int64_t begin, std::int64_t end, T* hidden, T* scratch) {
  for (const auto& adapter : adapters) {
    const T* input = x + begin * o.in;
    if (o.drops) {
      o.drop(x, begin, end - begin, 0, o.in, adapter.lora.stream, scratch);
      input = scratch;
    }
    multiply<T>(end - begin, adapter.r(), o.in, {input, o.in}, adapter.a_panels, o.in, false,
                {hidden + begin * o.rank + adapter.first_rank, o.rank});
  }
}

/// part += the adapters' scale · b a.
template <class T>
void fold(const Threads& threads, const Operands<T>& o, std::span<const PackedAdapter<T>> adapters,
          const PackedPart<T>& part, T* panels) {
  constexpr std::int64_t width = panel_columns<T>;
  threads.run(tiles(part.column_end - part.column, width), [&](std::int64_t index, int) {
    const std::int64_t column = part.column + index * width;
    for (const auto& adapter : adapters)
      if (adapter.begin <= column && column < adapter.end)
        multiply<T>(part.depth(), width, adapter.r(),
                    {data<const T>(o.linear.lora_a) + adapter.first_rank * o.in + part.step, o.in, true},
                    adapter.b_panels + (column - adapter.begin) * adapter.r(), adapter.r(), true,
                    {panels + index * width * part.depth(), width});
  });
}

/// What one part of the weight contributes to a tile of y; the last part of its rows adds `adapters`.
template <class T>
void forward_tile(const Operands<T>& o, std::span<const PackedAdapter<T>> adapters, const T* x,
                  const T* hidden, const PackedPart<T>& part, std::int64_t begin, std::int64_t end,
                  std::int64_t column, std::int64_t column_end, T* y) {
  const bool starts_from_bias = part.step == 0 && o.linear.bias.data;
  if (starts_from_bias)
    for (std::int64_t row = begin; row < end; ++row)
      std::copy(data<const T>(o.linear.bias) + column, data<const T>(o.linear.bias) + column_end,
                y + row * o.out + column);
  multiply<T>(end - begin, column_end - column, part.depth(), {x + begin * o.in + part.step, o.in},
              part.from(column), part.depth(), part.step > 0 || starts_from_bias,
              {y + begin * o.out + column, o.out});
  if (part.step_end < o.in) return;
  for (const auto& adapter : adapters) {
    const std::int64_t from = std::max(column, adapter.begin), to = std::min(column_end, adapter.end);
    if (from < to)
      multiply<T>(end - begin, to - from, adapter.r(), {hidden + begin * o.rank + adapter.first_rank, o.rank},
                  adapter.b_panels + (from - adapter.begin) * adapter.r(), adapter.r(), true,
                  {y + begin * o.out + from, o.out});
  }
}

}  // namespace

template <class T>
void linear_forward(Context context, const Tensor& x, const Linear& linear, const Dropout& dropout,
                    const Tensor& y, const Tensor& lora_hidden, std::int64_t first_row) {
  const Operands<T> o(linear, dropout, first_row);
  const std::int64_t rows = x.shape[0];
  const T* input = data<const T>(x);
  T *output = data<T>(y), *hidden = data<T>(lora_hidden);
  if (rows == 0) return;
  if (rows <= few_rows) return forward_few(context, o, input, rows, output, hidden);

  const Parts down(o.in), across(o.out);
  std::vector<PackedAdapter<T>> adapters;
  std::int64_t needed = packed_elements<T>(down.longest(), across.longest()), first_rank = 0;
  for (const Lora& lora : linear.adapters) {
    const std::int64_t begin = lora.first_output / panel_columns<T> * panel_columns<T>;
    adapters.push_back({lora, first_rank, begin, lora.first_output + lora.b.shape[0]});
    first_rank += lora.b.shape[1];
    needed += packed_elements<T>(o.in, adapters.back().r()) +
              packed_elements<T>(adapters.back().r(), adapters.back().end - begin);
  }
  T* const weight_panels = context.workspace.shared<T>(needed);
  if (o.drops) context.workspace.reserve_per_thread<T>(std::min(rows, tile_rows) * o.in);
  T* free = weight_panels + packed_elements<T>(down.longest(), across.longest());
  std::vector<Packing<T>> packings;
  for (auto& adapter : adapters) {
    const Lora& lora = adapter.lora;
    adapter.a_panels = free;
    free += packed_elements<T>(o.in, adapter.r());
    adapter.b_panels = free;
    free += packed_elements<T>(adapter.r(), adapter.end - adapter.begin);
    packings.push_back({.source = Rows<T>(linear.lora_a),
                        .row = adapter.first_rank,
                        .rows = adapter.r(),
                        .columns = o.in,
                        .transposed = true,
                        .to = adapter.a_panels});
    packings.push_back({.source = Rows<T>(lora.b),
                        .rows = lora.b.shape[0],
                        .columns = adapter.r(),
                        .transposed = true,
                        .to = adapter.b_panels,
                        .scale = static_cast<T>(lora.scale),
                        .skip = lora.first_output - adapter.begin});
  }
  const bool one_tile_wide = across.count() == 1 && o.out <= whole_columns;
  const bool folded = folds(rows, o.in, o.drops);
  const auto hide = [&](std::int64_t begin, std::int64_t end, int thread) {
    hidden_rows<T>(o, adapters, input, begin, end, hidden, context.workspace.of_thread<T>(thread));
  };
  for (std::int64_t i = 0; i < across.count(); ++i)
    for (std::int64_t j = 0; j < down.count(); ++j) {
      const PackedPart<T> part{across.begin(i), across.end(i), down.begin(j), down.end(j), weight_panels};
      packings.push_back({.source = o.weight,
                          .row = part.column,
                          .rows = part.column_end - part.column,
                          .column = part.step,
                          .columns = part.depth(),
                          .transposed = true,
                          .to = weight_panels});
      pack<T>(context.threads, packings);
      if (folded) fold<T>(context.threads, o, adapters, part, weight_panels);
      if (i == 0 && j == 0 && o.rank > 0 && !one_tile_wide) context.threads.run_blocks(rows, tile_rows, hide);
      packings.clear();
      for_tiles(context.threads, rows, part,
                [&](std::int64_t begin, std::int64_t end, std::int64_t column, std::int64_t column_end,
                    int thread) {
                  if (one_tile_wide && j == 0) hide(begin, end, thread);
                  forward_tile<T>(o, folded ? std::span<const PackedAdapter<T>>{} : adapters, input, hidden,
                                  part, begin, end, column, column_end, output);
                });
    }
}

template void linear_forward<float>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                    const Tensor&, std::int64_t);
template void linear_forward<double>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                     const Tensor&, std::int64_t);

}  // namespace ziptie::cpu
