// The output projection and its cross entropy, a chunk of rows at a time.

#include <algorithm>
#include <cmath>

#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/vector.h"

namespace ziptie::cpu {

namespace {

/// −log softmax(logits)[target]. With `slopes`, logits become scale · d(loss)/d(logits).
template <class T>
T cross_entropy_row(T* logits, std::int64_t vocab, std::int64_t target, bool slopes, T scale) {
  auto highs = broadcast(logits[0]);
  for_vectors<T>(vocab / lanes<T> * lanes<T>, [&](std::int64_t i, auto n) {
    const auto v = load(logits + i, n);
    highs = v > highs ? v : highs;
  });
  T high = max_lanes<T>(highs);
  for (std::int64_t i = vocab / lanes<T> * lanes<T>; i < vocab; ++i) high = std::max(high, logits[i]);
  const T chosen = logits[target];
  Vector<T> sums{};
  for_vectors<T>(vocab / lanes<T> * lanes<T>, [&](std::int64_t i, auto n) {
    const auto e = exponential(load(logits + i, n) - high);
    sums += e;
    if (slopes) store<T>(logits + i, e, n);
  });
  T total = sum_lanes<T>(sums);
  for (std::int64_t i = vocab / lanes<T> * lanes<T>; i < vocab; ++i) {
    const T e = std::exp(logits[i] - high);
    total += e;
    if (slopes) logits[i] = e;
  }
  if (slopes) {
    const T share = scale / total;
    for_vectors<T>(vocab,
                   [&](std::int64_t i, auto n) { store<T>(logits + i, load(logits + i, n) * share, n); });
    logits[target] -= scale;
  }
  return std::log(total) + high - chosen;
}

/// A chunk of the rows and their logits.
template <class T>
struct LogitChunk {
  std::int64_t first, count;
  Tensor input, logits, lora_hidden;

  T* row(std::int64_t i) const { return data<T>(logits) + i * logits.shape[1]; }
};

/// The logits of every row, a chunk at a time.
template <class T, class F>
void for_logit_chunks(Context context, const Tensor& x, const Linear& head, const Dropout& dropout,
                      const std::function<void()>& between_chunks, const F& use) {
  const std::int64_t rows = x.shape[0], width = x.shape[1], vocab = head.weight.shape[0];
  const std::int64_t rank = head.lora_a.data ? head.lora_a.shape[0] : 0;
  // 64 MiB of float logits at most, unless that is too few rows to multiply well.
  const std::int64_t most =
      std::min(rows, std::clamp<std::int64_t>((std::int64_t{1} << 24) / vocab, 128, 2048));
  T* logits = context.workspace.outer<T>(most * (vocab + rank));
  const auto matrix = [&](T* values, std::int64_t count, std::int64_t columns) {
    return Tensor{values, x.dtype, 2, {count, columns}};
  };
  for (std::int64_t first = 0; first < rows; first += most) {
    if (between_chunks) between_chunks();
    const std::int64_t count = std::min(most, rows - first);
    const LogitChunk<T> chunk{first, count, matrix(data<T>(x) + first * width, count, width),
                              matrix(logits, count, vocab),
                              rank > 0 ? matrix(logits + most * vocab, count, rank) : Tensor{}};
    linear_forward<T>(context, chunk.input, head, dropout, chunk.logits, chunk.lora_hidden, first);
    use(chunk);
  }
}

}  // namespace

template <class T>
void head_cross_entropy(Context context, const Tensor& x, const Linear& head, const Dropout& dropout,
                        const Tensor& targets, double scale, const Tensor& losses, const Tensor& gradient_x,
                        const std::function<void()>& between_chunks) {
  const std::int64_t width = x.shape[1], vocab = head.weight.shape[0];
  const bool slopes = gradient_x.data != nullptr;
  const auto* target = data<const std::uint32_t>(targets);
  for_logit_chunks<T>(context, x, head, dropout, between_chunks, [&](const LogitChunk<T>& chunk) {
    context.threads.run_blocks(
        chunk.count, rows_per_task(vocab), [&](std::int64_t begin, std::int64_t end, int) {
          for (std::int64_t i = begin; i < end; ++i)
            data<T>(losses)[chunk.first + i] = cross_entropy_row(chunk.row(i), vocab, target[chunk.first + i],
                                                                 slopes, static_cast<T>(scale));
        });
    if (slopes)
      linear_backward<T>(context, chunk.input, head, dropout, chunk.lora_hidden, chunk.logits,
                         {data<T>(gradient_x) + chunk.first * width, x.dtype, 2, {chunk.count, width}},
                         chunk.first);
  });
}

template <class T>
void head_likelihood(Context context, const Tensor& x, const Linear& head, const Tensor& targets,
                     const Tensor& losses, const Tensor& likeliest,
                     const std::function<void()>& between_chunks) {
  const std::int64_t vocab = head.weight.shape[0];
  const auto* target = data<const std::uint32_t>(targets);
  for_logit_chunks<T>(context, x, head, {}, between_chunks, [&](const LogitChunk<T>& chunk) {
    context.threads.run_blocks(
        chunk.count, rows_per_task(vocab), [&](std::int64_t begin, std::int64_t end, int) {
          for (std::int64_t i = begin; i < end; ++i) {
            T* logits = chunk.row(i);
            data<std::uint32_t>(likeliest)[chunk.first + i] =
                static_cast<std::uint32_t>(std::max_element(logits, logits + vocab) - logits);
            data<T>(losses)[chunk.first + i] =
                cross_entropy_row(logits, vocab, target[chunk.first + i], false, T{1});
          }
        });
  });
}

template void head_cross_entropy<float>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                        double, const Tensor&, const Tensor&, const std::function<void()>&);
template void head_cross_entropy<double>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                         double, const Tensor&, const Tensor&, const std::function<void()>&);

template void head_likelihood<float>(Context, const Tensor&, const Linear&, const Tensor&, const Tensor&,
                                     const Tensor&, const std::function<void()>&);
template void head_likelihood<double>(Context, const Tensor&, const Linear&, const Tensor&, const Tensor&,
                                      const Tensor&, const std::function<void()>&);

}  // namespace ziptie::cpu
