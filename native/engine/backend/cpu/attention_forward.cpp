#include "engine/backend/cpu/attention.h"
#include "engine/backend/cpu/kernels.h"

namespace ziptie::cpu {

namespace {

/// A task's queries, about.
constexpr std::int64_t queries_per_task = 240;

template <class T>
struct Scratch {
  Scratch(T* memory, std::int64_t longest, std::int64_t width) {
    Pieces<T> pieces(memory);
    keys = pieces.take(longest * padded<T>(width));
    values = pieces.take(longest * padded<T>(width));
    query_rows = pieces.take(panel_queries<T> * padded<T>(width));
    queries = pieces.take(padded<T>(width) * panel_queries<T>);
    outputs = pieces.take(panel_queries<T> * padded<T>(width));
    scores = pieces.take(key_block * panel_queries<T>);
    elements = pieces.taken();
  }
  static std::int64_t needed(std::int64_t longest, std::int64_t width) {
    return Scratch(nullptr, longest, width).elements;
  }

  T *keys, *values;  ///< [longest, padded width]
  T* query_rows;     ///< [panel, padded width]
  T* queries;        ///< [padded width, panel]
  T* outputs;        ///< [panel, padded width]
  T* scores;         ///< [key_block, panel]
  std::int64_t elements;
};

/// The softmax of a panel of queries so far: exponentials of scores less `highs`, in units of ln 2.
template <class T>
struct RunningSoftmax {
  PanelLanes<T> highs = PanelLanes<T>::filled(-std::numeric_limits<T>::infinity());
  PanelLanes<T> sums = PanelLanes<T>::filled(0);

  /// Makes exponentials of a block's scores. `outputs`, what the blocks before it gave, shrinks as the
  /// highest scores grow.
  void add(const CausalBlock<T>& block, bool first, T* scores, T* outputs, std::int64_t padded_width) {
    PanelLanes<T> higher = highs;
    block.for_each([&](std::int64_t at, int v, auto pick) {
      auto& high = higher.vectors[v];
      const auto score = load(scores + at);
      high = pick(score > high ? score : high, high);
    });
    if (!first) shrink(higher, outputs, padded_width);
    highs = higher;
    block.for_each([&](std::int64_t at, int v, auto pick) {
      const auto e = pick(exponential2(load(scores + at) - highs.vectors[v]), Vector<T>{});
      store<T>(scores + at, e);
      sums.vectors[v] += e;
    });
  }

 private:
  void shrink(const PanelLanes<T>& higher, T* outputs, std::int64_t padded_width) {
    PanelLanes<T> factors;
    for (int v = 0; v < panel_vectors; ++v) {
      factors.vectors[v] = exponential2(highs.vectors[v] - higher.vectors[v]);
      sums.vectors[v] *= factors.vectors[v];
    }
    for (std::int64_t query = 0; query < panel_queries<T>; ++query, outputs += padded_width)
      if (higher[query] != highs[query])
        for (std::int64_t i = 0; i < padded_width; i += lanes<T>)
          store<T>(outputs + i, load(outputs + i) * factors[query]);
  }
};

/// `count` queries of one head, at most a panel, the i-th of which sees the keys before `seen` + i.
template <class T>
void forward_panel(const Scratch<T>& s, HeadRows<const T> q, std::int64_t count, std::int64_t seen,
                   std::int64_t width, HeadRows<T> out, T* log_sum, std::int64_t log_sum_stride) {
  const std::int64_t padded_width = padded<T>(width), keys = seen + count - 1;
  pack_rows<T>(q, count, width, T{1}, s.query_rows, panel_queries<T>);
  const double scale = std::numbers::log2e / std::sqrt(static_cast<double>(width));
  transpose_panel<T>(s.query_rows, width, static_cast<T>(scale), s.queries);
  std::fill_n(s.outputs, panel_queries<T> * padded_width, T{0});
  RunningSoftmax<T> softmax;
  for (std::int64_t first = 0; first < keys; first += key_block) {
    const CausalBlock<T> block{std::min(key_block, keys - first), seen - first};
    multiply_by_panel<T>(block.keys, width, s.keys + first * padded_width, s.queries, s.scores);
    softmax.add(block, first == 0, s.scores, s.outputs, padded_width);
    add_weighted_rows<T>(count, block.keys, width, s.scores, s.values + first * padded_width, s.outputs);
  }
  for (std::int64_t query = 0; query < count; ++query) {
    const T sum = softmax.sums[query], share = T{1} / sum;
    const T* from = s.outputs + query * padded_width;
    T* to = out.from(query).data;
    for_vectors<T>(width, [&](std::int64_t i, auto n) { store<T>(to + i, load(from + i) * share, n); });
    if (log_sum)
      log_sum[query * log_sum_stride] =
          softmax.highs[query] * static_cast<T>(std::numbers::ln2) + std::log(sum);
  }
}

}  // namespace

template <class T>
void attention_varlen_forward(Context context, const Tensor& qkv, const Sequences& sequences,
                              const HeadLayout& layout, const Tensor& out, const Tensor& log_sum) {
  const std::int64_t width = layout.head_dim, row = layout.row(), out_row = layout.heads * width;
  const std::int64_t group = layout.heads / layout.kv_heads;
  const auto* offsets = data<const std::uint32_t>(sequences.offsets);
  const std::int64_t parts = std::max<std::int64_t>(1, sequences.longest / queries_per_task);
  const std::int64_t part = round_up(tiles(sequences.longest, parts), panel_queries<T>);
  context.workspace.reserve_per_thread<T>(Scratch<T>::needed(sequences.longest, width));
  context.threads.run(sequences.count * layout.kv_heads * parts, [&](std::int64_t task, int thread) {
    const std::int64_t sequence = task / parts / layout.kv_heads, kv_head = task / parts % layout.kv_heads;
    const std::int64_t begin = offsets[sequence], length = offsets[sequence + 1] - begin;
    const std::int64_t first = task % parts * part, last = std::min(length, first + part);
    if (first >= last) return;
    const Scratch<T> scratch(context.workspace.of_thread<T>(thread), sequences.longest, width);
    const T* base = data<const T>(qkv) + begin * row;
    const T* keys = base + (layout.heads + kv_head) * width;
    pack_rows<T>({keys, row}, last, width, T{1}, scratch.keys);
    pack_rows<T>({keys + layout.kv_heads * width, row}, last, width, T{1}, scratch.values);
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (std::int64_t query = first; query < last; query += panel_queries<T>)
        forward_panel<T>(scratch, {base + query * row + head * width, row},
                         std::min(panel_queries<T>, last - query), query + 1, width,
                         {data<T>(out) + (begin + query) * out_row + head * width, out_row},
                         data<T>(log_sum) + (begin + query) * layout.heads + head, layout.heads);
  });
}

namespace {

/// One query: there is nothing to lay along lanes but the head itself. `scores` [keys].
template <class T>
void attend(const T* query, HeadRows<const T> keys, HeadRows<const T> values, std::int64_t count,
            std::int64_t width, T* scores, T* out) {
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(width)));
  T high = -std::numeric_limits<T>::infinity();
  for (std::int64_t key = 0; key < count; ++key) {
    scores[key] = dot(width, query, keys.from(key).data) * scale;
    high = std::max(high, scores[key]);
  }
  Vector<T> sums{};
  for_vectors<T>(count, [&](std::int64_t i, auto n) {
    const auto e = exponential(load(scores + i, n) - high);
    store<T>(scores + i, e, n);
    sums += load(scores + i, n);
  });
  const T share = T{1} / sum_lanes<T>(sums);
  std::fill_n(out, width, T{0});
  for (std::int64_t key = 0; key < count; ++key)
    add_multiple<T>(width, scores[key] * share, values.from(key).data, out);
}

}  // namespace

template <class T>
void attention_cached(Context context, const Tensor& qkv, const CachedSequences& cached,
                      const HeadLayout& layout, const Tensor& keys, const Tensor& values, const Tensor& out) {
  const std::int64_t width = layout.head_dim, row = layout.row(), capacity = keys.shape[1];
  const std::int64_t group = layout.heads / layout.kv_heads, kv_row = layout.kv_heads * width;
  const std::int64_t out_row = layout.heads * width;
  const auto* offsets = data<const std::uint32_t>(cached.sequences.offsets);
  const auto* slots = data<const std::uint32_t>(cached.slots);
  const auto* pasts = data<const std::uint32_t>(cached.past);
  context.workspace.reserve_per_thread<T>(Scratch<T>::needed(cached.longest, width));
  context.threads.run(cached.sequences.count * layout.kv_heads, [&](std::int64_t task, int thread) {
    const std::int64_t sequence = task / layout.kv_heads, kv_head = task % layout.kv_heads;
    const std::int64_t begin = offsets[sequence], rows = offsets[sequence + 1] - begin;
    const std::int64_t past = pasts[sequence], first = slots[sequence] * capacity * kv_row + kv_head * width;
    const T* base = data<const T>(qkv) + begin * row;
    const HeadRows<T> head_keys{data<T>(keys) + first, kv_row}, head_values{data<T>(values) + first, kv_row};
    for (std::int64_t i = 0; i < rows; ++i) {
      const T* from = base + i * row + (layout.heads + kv_head) * width;
      std::memcpy(head_keys.from(past + i).data, from, width * sizeof(T));
      std::memcpy(head_values.from(past + i).data, from + kv_row, width * sizeof(T));
    }
    T* const memory = context.workspace.of_thread<T>(thread);
    const Scratch<T> scratch(memory, cached.longest, width);
    if (rows > 1) {
      pack_rows<T>({head_keys.data, kv_row}, past + rows, width, T{1}, scratch.keys);
      pack_rows<T>({head_values.data, kv_row}, past + rows, width, T{1}, scratch.values);
    }
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const T* queries = base + head * width;
      T* to = data<T>(out) + begin * out_row + head * width;
      if (rows == 1)
        attend<T>(queries, {head_keys.data, kv_row}, {head_values.data, kv_row}, past + 1, width, memory, to);
      else
        for (std::int64_t query = 0; query < rows; query += panel_queries<T>)
          forward_panel<T>(scratch, {queries + query * row, row}, std::min(panel_queries<T>, rows - query),
                           past + query + 1, width, {to + query * out_row, out_row}, nullptr, 0);
    }
  });
}

#define ZIPTIE_INSTANTIATE(T)                                                                            \
  template void attention_varlen_forward<T>(Context, const Tensor&, const Sequences&, const HeadLayout&, \
                                            const Tensor&, const Tensor&);                               \
  template void attention_cached<T>(Context, const Tensor&, const CachedSequences&, const HeadLayout&,   \
                                    const Tensor&, const Tensor&, const Tensor&);
ZIPTIE_INSTANTIATE(float)
ZIPTIE_INSTANTIATE(double)

}  // namespace ziptie::cpu
