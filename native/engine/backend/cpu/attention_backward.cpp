#include "engine/backend/cpu/attention.h"
#include "engine/backend/cpu/kernels.h"

namespace ziptie::cpu {

namespace {

template <class T>
struct Scratch {
  Scratch(T* memory, std::int64_t longest, std::int64_t width) {
    const std::int64_t padded_width = padded<T>(width), panel = panel_queries<T>;
    Pieces<T> pieces(memory);
    for (T** rows : {&keys, &values, &key_slopes, &value_slopes}) *rows = pieces.take(longest * padded_width);
    for (T** rows : {&query_rows, &slope_rows, &query_slopes}) *rows = pieces.take(panel * padded_width);
    for (T** columns : {&query_panel, &slope_panel}) *columns = pieces.take(padded_width * panel);
    for (T** block : {&shares, &share_slopes}) *block = pieces.take(key_block * panel);
    elements = pieces.taken();
  }
  static std::int64_t needed(std::int64_t longest, std::int64_t width) {
    return Scratch(nullptr, longest, width).elements;
  }

  T *keys, *values, *key_slopes, *value_slopes;  ///< [longest, padded width]
  T *query_rows, *slope_rows, *query_slopes;     ///< [panel, padded width]
  T *query_panel, *slope_panel;                  ///< [padded width, panel]
  T *shares, *share_slopes;                      ///< [key_block, panel]
  std::int64_t elements;
};

/// What the backward pass reads of a head's queries.
template <class T>
struct Queries {
  HeadRows<const T> q, out, gradient_out;
  const T* log_sum;
  std::int64_t log_sum_stride;
};

/// `count` queries, at most a panel, the i-th of which sees the keys before `seen` + i: writes their
/// gradients and adds to those of keys and values.
template <class T>
void backward_panel(const Scratch<T>& s, const Queries<T>& queries, std::int64_t count, std::int64_t seen,
                    std::int64_t width, HeadRows<T> gradient_q) {
  const std::int64_t padded_width = padded<T>(width), keys = seen + count - 1;
  const double scale = 1 / std::sqrt(static_cast<double>(width));
  pack_rows<T>(queries.q, count, width, static_cast<T>(scale), s.query_rows, panel_queries<T>);
  pack_rows<T>(queries.gradient_out, count, width, T{1}, s.slope_rows, panel_queries<T>);
  transpose_panel<T>(s.query_rows, width, static_cast<T>(std::numbers::log2e), s.query_panel);
  transpose_panel<T>(s.slope_rows, width, T{1}, s.slope_panel);
  std::fill_n(s.query_slopes, count * padded_width, T{0});
  auto denominators = PanelLanes<T>::filled(0), deltas = PanelLanes<T>::filled(0);
  for (std::int64_t query = 0; query < count; ++query) {
    denominators.set(query,
                     queries.log_sum[query * queries.log_sum_stride] * static_cast<T>(std::numbers::log2e));
    deltas.set(query, dot(width, queries.out.from(query).data, s.slope_rows + query * padded_width));
  }
  for (std::int64_t first = 0; first < keys; first += key_block) {
    const CausalBlock<T> block{std::min(key_block, keys - first), seen - first};
    const std::int64_t offset = first * padded_width;
    multiply_by_panel<T>(block.keys, width, s.keys + offset, s.query_panel, s.shares);
    multiply_by_panel<T>(block.keys, width, s.values + offset, s.slope_panel, s.share_slopes);
    block.for_each([&](std::int64_t at, int v, auto pick) {
      const auto share = pick(exponential2(load(s.shares + at) - denominators.vectors[v]), Vector<T>{});
      store<T>(s.shares + at, share);
      store<T>(s.share_slopes + at, share * (load(s.share_slopes + at) - deltas.vectors[v]));
    });
    add_weighted_queries<T>(block.keys, count, width, s.shares, s.slope_rows, s.value_slopes + offset);
    add_weighted_queries<T>(block.keys, count, width, s.share_slopes, s.query_rows, s.key_slopes + offset);
    add_weighted_rows<T>(count, block.keys, width, s.share_slopes, s.keys + offset, s.query_slopes);
  }
  unpack_rows<T>(s.query_slopes, count, width, static_cast<T>(scale), gradient_q);
}

}  // namespace

template <class T>
void attention_varlen_backward(Context context, const Tensor& qkv, const Sequences& sequences,
                               const HeadLayout& layout, const Tensor& out, const Tensor& log_sum,
                               const Tensor& gradient_out, const Tensor& gradient_qkv) {
  const std::int64_t width = layout.head_dim, row = layout.row(), group = layout.heads / layout.kv_heads;
  const std::int64_t out_row = layout.heads * width, padded_width = padded<T>(width);
  const auto* offsets = data<const std::uint32_t>(sequences.offsets);
  context.workspace.reserve_per_thread<T>(Scratch<T>::needed(sequences.longest, width));
  context.threads.run(sequences.count * layout.kv_heads, [&](std::int64_t task, int thread) {
    const std::int64_t sequence = task / layout.kv_heads, kv_head = task % layout.kv_heads;
    const std::int64_t begin = offsets[sequence], length = offsets[sequence + 1] - begin;
    if (length == 0) return;
    const Scratch<T> scratch(context.workspace.of_thread<T>(thread), sequences.longest, width);
    const T* base = data<const T>(qkv) + begin * row;
    T* slopes = data<T>(gradient_qkv) + begin * row;
    const std::int64_t key_column = (layout.heads + kv_head) * width;
    const std::int64_t value_column = key_column + layout.kv_heads * width;
    pack_rows<T>({base + key_column, row}, length, width, T{1}, scratch.keys);
    pack_rows<T>({base + value_column, row}, length, width, T{1}, scratch.values);
    std::fill_n(scratch.key_slopes, length * padded_width, T{0});
    std::fill_n(scratch.value_slopes, length * padded_width, T{0});
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (std::int64_t query = 0; query < length; query += panel_queries<T>) {
        const auto at = [&](const Tensor& tensor) {
          return HeadRows<const T>{data<const T>(tensor) + (begin + query) * out_row + head * width, out_row};
        };
        backward_panel<T>(scratch,
                          {{base + query * row + head * width, row},
                           at(out),
                           at(gradient_out),
                           data<const T>(log_sum) + (begin + query) * layout.heads + head,
                           layout.heads},
                          std::min(panel_queries<T>, length - query), query + 1, width,
                          {slopes + query * row + head * width, row});
      }
    unpack_rows<T>(scratch.key_slopes, length, width, T{1}, {slopes + key_column, row});
    unpack_rows<T>(scratch.value_slopes, length, width, T{1}, {slopes + value_column, row});
  });
}

#define ZIPTIE_INSTANTIATE(T)                                                                             \
  template void attention_varlen_backward<T>(Context, const Tensor&, const Sequences&, const HeadLayout&, \
                                             const Tensor&, const Tensor&, const Tensor&, const Tensor&);
ZIPTIE_INSTANTIATE(float)
ZIPTIE_INSTANTIATE(double)

}  // namespace ziptie::cpu
