// Causal attention in blocks of queries against blocks of keys with a running softmax (Dao et al.,
// "FlashAttention", 2022): the matrix of scores exists one block at a time. Keys are packed transposed, so
// that the innermost loops run along keys and narrow heads fill whole vectors too.

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/backend/cpu/gemm.h"
#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/product.h"
#include "engine/backend/cpu/vector.h"

namespace ziptie::cpu {

namespace {

constexpr std::int64_t query_block = 48, key_block = 128, queries_per_task = 240;

/// Columns of a transposed panel.
template <class T>
constexpr std::int64_t panel = 2 * lanes<T>;

/// Rows of one head in a wider tensor.
template <class T>
struct HeadRows {
  T* data;
  std::int64_t stride;
};

/// to[row][i] = from[row][i], rows `width` long padded with zeros to whole vectors.
template <class T>
void pack_rows(HeadRows<const T> from, std::int64_t rows, std::int64_t width, T* to) {
  const std::int64_t padded_width = padded<T>(width);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::memcpy(to + row * padded_width, from.data + row * from.stride, width * sizeof(T));
    for (std::int64_t i = width; i < padded_width; ++i) to[row * padded_width + i] = 0;
  }
}

/// Panels of transposed rows: to[p][i][j] = from[p · panel + j][i], zero beyond the last row.
template <class T>
void pack_transposed(HeadRows<const T> from, std::int64_t rows, std::int64_t width, T* to) {
  for (std::int64_t first = 0; first < rows; first += panel<T>, to += panel<T> * width)
    for (std::int64_t j = 0; j < panel<T>; ++j) {
      const T* row = from.data + (first + j) * from.stride;
      if (first + j < rows)
        for (std::int64_t i = 0; i < width; ++i) to[i * panel<T> + j] = row[i];
      else
        for (std::int64_t i = 0; i < width; ++i) to[i * panel<T> + j] = 0;
    }
}

/// c[rows, keys] = a[rows, width] panelsᵀ for the keys [first_key, first_key + keys) of `panels`.
template <class T>
void multiply_panels(std::int64_t rows, std::int64_t keys, std::int64_t width, const T* a,
                     std::int64_t a_stride, const T* panels, std::int64_t first_key, T* c) {
  for (std::int64_t key = 0; key < keys; key += panel<T>)
    small_gemm<false>(rows, panel<T>, width, a, a_stride, std::int64_t{1}, panels + (first_key + key) * width,
                      panel<T>, c + key, key_block);
}

template <class T>
void fill(T* to, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) to[i] = 0;
}

/// Scratch of one task, and what the forward and backward passes over one head share.
template <class T>
struct Scratch {
  Scratch(T* memory, std::int64_t keys, std::int64_t width) {
    const std::int64_t rows = round_up(keys, panel<T>), padded_width = padded<T>(width);
    const auto take = [&](std::int64_t n) {
      T* taken = memory ? memory + elements : nullptr;
      elements += round_up(n, 16);
      return taken;
    };
    transposed_keys = take(rows * width);
    values = take(rows * padded_width);
    queries = take(query_block * padded_width);
    outputs = take(query_block * padded_width);
    scores = take(query_block * key_block);
    highs = take(query_block);
    sums = take(query_block);
    // The backward pass alone uses what follows.
    transposed_values = take(rows * width);
    keys_by_row = take(rows * padded_width);
    key_slopes = take(rows * padded_width);
    value_slopes = take(rows * padded_width);
    query_slopes = take(query_block * padded_width);
    score_slopes = take(query_block * key_block);
  }
  static std::int64_t needed(std::int64_t keys, std::int64_t width) {
    return Scratch(nullptr, keys, width).elements;
  }

  T *transposed_keys, *values, *queries, *outputs, *scores, *highs, *sums;
  T *transposed_values, *keys_by_row, *key_slopes, *value_slopes, *query_slopes, *score_slopes;
  std::int64_t elements = 0;
};

/// Queries [first, first + rows) of one head, the i-th of which sees the keys [0, past + i].
template <class T>
void forward_block(const Scratch<T>& s, HeadRows<const T> q, std::int64_t first, std::int64_t rows,
                   std::int64_t past, std::int64_t width, HeadRows<T> out, T* log_sum,
                   std::int64_t log_sum_stride) {
  const std::int64_t padded_width = padded<T>(width), keys = past + first + rows;
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(width)));
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t i = 0; i < width; ++i)
      s.queries[row * width + i] = q.data[(first + row) * q.stride + i] * scale;
  fill(s.outputs, 0, rows * padded_width);
  std::fill(s.highs, s.highs + rows, -std::numeric_limits<T>::infinity());
  fill(s.sums, 0, rows);

  for (std::int64_t first_key = 0; first_key < keys; first_key += key_block) {
    const std::int64_t count = std::min(key_block, keys - first_key),
                       padded_count = round_up(count, panel<T>);
    multiply_panels(rows, padded_count, width, s.queries, width, s.transposed_keys, first_key, s.scores);
    for (std::int64_t row = 0; row < rows; ++row) {
      T* scores = s.scores + row * key_block;
      const std::int64_t seen = std::clamp<std::int64_t>(past + first + row + 1 - first_key, 0, count);
      if (seen == 0) {
        fill(scores, 0, count);
        continue;
      }
      const std::int64_t whole = padded<T>(seen);
      // Of these the exponential is 0.
      for (std::int64_t i = seen; i < whole; ++i) scores[i] = -std::numeric_limits<T>::infinity();
      auto highs = broadcast(s.highs[row]);
      for (std::int64_t i = 0; i < whole; i += lanes<T>) {
        const auto v = load(scores + i);
        highs = v > highs ? v : highs;
      }
      const T high = max_lanes<T>(highs);
      Vector<T> sums{};
      for (std::int64_t i = 0; i < whole; i += lanes<T>) {
        const auto e = exponential(load(scores + i) - high);
        store<T>(scores + i, e);
        sums += e;
      }
      const T sum = sum_lanes<T>(sums);
      fill(scores, whole, padded_count);
      if (first_key > 0 && high > s.highs[row]) {
        const T shrink = std::exp(s.highs[row] - high);
        s.sums[row] *= shrink;
        for (std::int64_t i = 0; i < padded_width; ++i) s.outputs[row * padded_width + i] *= shrink;
      }
      s.sums[row] += sum;
      s.highs[row] = high;
    }
    small_gemm<true>(rows, padded_width, count, s.scores, key_block, std::int64_t{1},
                     s.values + first_key * padded_width, padded_width, s.outputs, padded_width);
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    const T share = T{1} / s.sums[row];
    T* to = out.data + (first + row) * out.stride;
    for (std::int64_t i = 0; i < width; ++i) to[i] = s.outputs[row * padded_width + i] * share;
    if (log_sum) log_sum[(first + row) * log_sum_stride] = s.highs[row] + std::log(s.sums[row]);
  }
}

/// Queries [first, first + rows) of one head: writes their gradients, adds to `key_slopes` and
/// `value_slopes`.
template <class T>
void backward_block(const Scratch<T>& s, HeadRows<const T> q, HeadRows<const T> out,
                    HeadRows<const T> gradient_out, const T* log_sum, std::int64_t log_sum_stride,
                    std::int64_t first, std::int64_t rows, std::int64_t width, HeadRows<T> gradient_q) {
  const std::int64_t padded_width = padded<T>(width), keys = first + rows;
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(width)));
  pack_rows<T>({q.data + first * q.stride, q.stride}, rows, width, s.queries);
  pack_rows<T>({gradient_out.data + first * gradient_out.stride, gradient_out.stride}, rows, width,
               s.outputs);
  fill(s.query_slopes, 0, rows * padded_width);
  T* deltas = s.sums;
  for (std::int64_t row = 0; row < rows; ++row) {
    const T* outputs = out.data + (first + row) * out.stride;
    T delta = 0;
    for (std::int64_t i = 0; i < width; ++i) delta += outputs[i] * s.outputs[row * padded_width + i];
    deltas[row] = delta;
  }
  for (std::int64_t first_key = 0; first_key < keys; first_key += key_block) {
    const std::int64_t count = std::min(key_block, keys - first_key),
                       padded_count = round_up(count, panel<T>);
    multiply_panels(rows, padded_count, width, s.queries, padded_width, s.transposed_keys, first_key,
                    s.scores);
    multiply_panels(rows, padded_count, width, s.outputs, padded_width, s.transposed_values, first_key,
                    s.score_slopes);
    for (std::int64_t row = 0; row < rows; ++row) {
      T* scores = s.scores + row * key_block;
      T* slopes = s.score_slopes + row * key_block;
      const std::int64_t seen = std::clamp<std::int64_t>(first + row + 1 - first_key, 0, count);
      const T denominator = log_sum[(first + row) * log_sum_stride], delta = deltas[row];
      for (std::int64_t i = 0; i < seen; i += lanes<T>) {
        const auto p = exponential(load(scores + i) * scale - denominator);
        store<T>(slopes + i, p * (load(slopes + i) - delta) * scale);
        store<T>(scores + i, p);
      }
      fill(scores, seen, padded_count);
      fill(slopes, seen, padded_count);
    }
    const std::int64_t offset = first_key * padded_width, one = 1;
    small_gemm<true>(count, padded_width, rows, s.scores, one, key_block, s.outputs, padded_width,
                     s.value_slopes + offset, padded_width);
    small_gemm<true>(count, padded_width, rows, s.score_slopes, one, key_block, s.queries, padded_width,
                     s.key_slopes + offset, padded_width);
    small_gemm<true>(rows, padded_width, count, s.score_slopes, key_block, one, s.keys_by_row + offset,
                     padded_width, s.query_slopes, padded_width);
  }
  for (std::int64_t row = 0; row < rows; ++row)
    std::memcpy(gradient_q.data + (first + row) * gradient_q.stride, s.query_slopes + row * padded_width,
                width * sizeof(T));
}

/// The reverse of `pack_rows`.
template <class T>
void unpack_rows(const T* from, std::int64_t rows, std::int64_t width, HeadRows<T> to) {
  for (std::int64_t row = 0; row < rows; ++row)
    std::memcpy(to.data + row * to.stride, from + row * padded<T>(width), width * sizeof(T));
}

}  // namespace

template <class T>
void attention_varlen_forward(Context context, const Tensor& qkv, const Sequences& sequences,
                              const HeadLayout& layout, const Tensor& out, const Tensor& log_sum) {
  const std::int64_t width = layout.head_dim, row = layout.row(), group = layout.heads / layout.kv_heads;
  const auto* offsets = data<const std::uint32_t>(sequences.offsets);
  const std::int64_t parts = (sequences.longest + queries_per_task - 1) / queries_per_task;
  context.workspace.reserve_per_thread<T>(Scratch<T>::needed(sequences.longest, width));
  context.threads.run(sequences.count * layout.kv_heads * parts, [&](std::int64_t task, int thread) {
    const std::int64_t sequence = task / parts / layout.kv_heads, kv_head = task / parts % layout.kv_heads;
    const std::int64_t begin = offsets[sequence], length = offsets[sequence + 1] - begin;
    const std::int64_t first = task % parts * queries_per_task,
                       last = std::min(length, first + queries_per_task);
    if (first >= last) return;
    const Scratch<T> scratch(context.workspace.of_thread<T>(thread), sequences.longest, width);
    const T* base = data<const T>(qkv) + begin * row;
    const T* keys = base + (layout.heads + kv_head) * width;
    pack_transposed<T>({keys, row}, last, width, scratch.transposed_keys);
    pack_rows<T>({keys + layout.kv_heads * width, row}, last, width, scratch.values);
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (std::int64_t block = first; block < last; block += query_block)
        forward_block<T>(scratch, {base + head * width, row}, block, std::min(query_block, last - block), 0,
                         width,
                         {data<T>(out) + begin * layout.heads * width + head * width, layout.heads * width},
                         data<T>(log_sum) + begin * layout.heads + head, layout.heads);
  });
}

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
    pack_transposed<T>({base + key_column, row}, length, width, scratch.transposed_keys);
    pack_rows<T>({base + key_column, row}, length, width, scratch.keys_by_row);
    pack_transposed<T>({base + value_column, row}, length, width, scratch.transposed_values);
    fill(scratch.key_slopes, 0, length * padded_width);
    fill(scratch.value_slopes, 0, length * padded_width);
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (std::int64_t block = 0; block < length; block += query_block)
        backward_block<T>(scratch, {base + head * width, row},
                          {data<const T>(out) + begin * out_row + head * width, out_row},
                          {data<const T>(gradient_out) + begin * out_row + head * width, out_row},
                          data<const T>(log_sum) + begin * layout.heads + head, layout.heads, block,
                          std::min(query_block, length - block), width, {slopes + head * width, row});
    unpack_rows<T>(scratch.key_slopes, length, width, {slopes + key_column, row});
    unpack_rows<T>(scratch.value_slopes, length, width, {slopes + value_column, row});
  });
}

template <class T>
void attention_cached(Context context, const Tensor& qkv, const CachedSequences& cached,
                      const HeadLayout& layout, const Tensor& keys, const Tensor& values, const Tensor& out) {
  const std::int64_t width = layout.head_dim, row = layout.row(), capacity = keys.shape[1];
  const std::int64_t group = layout.heads / layout.kv_heads, kv_row = layout.kv_heads * width;
  const auto* offsets = data<const std::uint32_t>(cached.sequences.offsets);
  const auto* slots = data<const std::uint32_t>(cached.slots);
  const auto* pasts = data<const std::uint32_t>(cached.past);
  context.workspace.reserve_per_thread<T>(Scratch<T>::needed(cached.longest, width));
  context.threads.run(cached.sequences.count * layout.kv_heads, [&](std::int64_t task, int thread) {
    const std::int64_t sequence = task / layout.kv_heads, kv_head = task % layout.kv_heads;
    const std::int64_t begin = offsets[sequence], rows = offsets[sequence + 1] - begin;
    const std::int64_t past = pasts[sequence], first = slots[sequence] * capacity * kv_row + kv_head * width;
    const Scratch<T> scratch(context.workspace.of_thread<T>(thread), cached.longest, width);
    const T* base = data<const T>(qkv) + begin * row;
    T* head_keys = data<T>(keys) + first;
    T* head_values = data<T>(values) + first;
    for (std::int64_t i = 0; i < rows; ++i) {
      const T* from = base + i * row + (layout.heads + kv_head) * width;
      std::memcpy(head_keys + (past + i) * kv_row, from, width * sizeof(T));
      std::memcpy(head_values + (past + i) * kv_row, from + kv_row, width * sizeof(T));
    }
    pack_transposed<T>({head_keys, kv_row}, past + rows, width, scratch.transposed_keys);
    pack_rows<T>({head_values, kv_row}, past + rows, width, scratch.values);
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (std::int64_t block = 0; block < rows; block += query_block)
        forward_block<T>(
            scratch, {base + head * width, row}, block, std::min(query_block, rows - block), past, width,
            {data<T>(out) + begin * layout.heads * width + head * width, layout.heads * width}, nullptr, 0);
  });
}

#define ZIPTIE_INSTANTIATE(T)                                                                             \
  template void attention_varlen_forward<T>(Context, const Tensor&, const Sequences&, const HeadLayout&,  \
                                            const Tensor&, const Tensor&);                                \
  template void attention_varlen_backward<T>(Context, const Tensor&, const Sequences&, const HeadLayout&, \
                                             const Tensor&, const Tensor&, const Tensor&, const Tensor&); \
  template void attention_cached<T>(Context, const Tensor&, const CachedSequences&, const HeadLayout&,    \
                                    const Tensor&, const Tensor&, const Tensor&);
ZIPTIE_INSTANTIATE(float)
ZIPTIE_INSTANTIATE(double)

}  // namespace ziptie::cpu
