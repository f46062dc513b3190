// The output projection and its cross entropy, a chunk of rows at a time.

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

}  // namespace

template <class T>
void head_cross_entropy(Context context, const Tensor& x, const Linear& head, const Dropout& dropout,
                        const Tensor& targets, double scale, const Tensor& losses, const Tensor& gradient_x) {
  const std::int64_t rows = x.shape[0], width = x.shape[1], vocab = head.weight.shape[0];
  const std::int64_t rank = head.lora_a.data ? head.lora_a.shape[0] : 0;
  // 64 MiB of float logits at most, unless that is too few rows to multiply well.
  const std::int64_t chunk = std::clamp<std::int64_t>((std::int64_t{1} << 24) / vocab, 128, 2048);
  const bool slopes = gradient_x.data != nullptr;
  T* logits = context.workspace.outer<T>(std::min(rows, chunk) * (vocab + rank));
  T* hidden = logits + std::min(rows, chunk) * vocab;
  const auto* target = data<const std::uint32_t>(targets);
  const auto matrix = [&](T* values, std::int64_t count, std::int64_t columns) {
    return Tensor{values, x.dtype, 2, {count, columns}};
  };

  for (std::int64_t first = 0; first < rows; first += chunk) {
    const std::int64_t count = std::min(chunk, rows - first);
    const Tensor input = matrix(data<T>(x) + first * width, count, width),
                 scores = matrix(logits, count, vocab);
    const Tensor lora_hidden = rank > 0 ? matrix(hidden, count, rank) : Tensor{};
    linear_forward<T>(context, input, head, dropout, scores, lora_hidden, first);
    context.threads.run_blocks(count, rows_per_task(vocab), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row)
        data<T>(losses)[first + row] = cross_entropy_row(logits + row * vocab, vocab, target[first + row],
                                                         slopes, static_cast<T>(scale));
    });
    if (slopes)
      linear_backward<T>(context, input, head, dropout, lora_hidden, scores,
                         matrix(data<T>(gradient_x) + first * width, count, width), first);
  }
}

template void head_cross_entropy<float>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                        double, const Tensor&, const Tensor&);
template void head_cross_entropy<double>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                         double, const Tensor&, const Tensor&);

}  // namespace ziptie::cpu
