// The output projection and its cross entropy, a chunk of rows at a time.

#include <cmath>

#include "engine/backend/cpu/gemm.h"
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
void head_cross_entropy(Context context, const Tensor& x, const Linear& head, const Dropout&,
                        const Tensor& targets, double scale, const Tensor& losses, const Tensor& gradient_x) {
  const std::int64_t rows = x.shape[0], width = x.shape[1], vocab = head.weight.shape[0];
  // 64 MiB of float logits at most, unless that is too few rows to multiply well.
  const std::int64_t chunk = std::clamp<std::int64_t>((std::int64_t{1} << 24) / vocab, 128, 2048);
  const bool slopes = gradient_x.data != nullptr;
  T* logits = context.workspace.shared<T>(std::min(rows, chunk) * vocab);
  const auto* target = data<const std::uint32_t>(targets);
  const T* weight = data<const T>(head.weight);

  for (std::int64_t first = 0; first < rows; first += chunk) {
    const std::int64_t count = std::min(chunk, rows - first);
    const T* input = data<const T>(x) + first * width;
    const std::int64_t height = vocab * width <= 1 << 17 ? 128 : 512, edge = 1024;
    const std::int64_t down = (count + height - 1) / height, across = (vocab + edge - 1) / edge;
    context.threads.run(down * across, [&](std::int64_t task, int) {
      const std::int64_t row = task % down * height, column = task / down * edge;
      gemm(std::min(height, count - row), std::min(edge, vocab - column), width, T{1},
           {input + row * width, width}, {weight + column * width, width, true}, T{0},
           {logits + row * vocab + column, vocab});
    });
    context.threads.run_blocks(count, rows_per_task(vocab), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row)
        data<T>(losses)[first + row] = cross_entropy_row(logits + row * vocab, vocab, target[first + row],
                                                         slopes, static_cast<T>(scale));
    });
    if (!slopes) continue;
    const std::int64_t x_height = 128, x_edge = 512, x_across = (width + x_edge - 1) / x_edge;
    context.threads.run((count + x_height - 1) / x_height * x_across, [&](std::int64_t task, int) {
      const std::int64_t row = task / x_across * x_height, column = task % x_across * x_edge;
      gemm(std::min(x_height, count - row), std::min(x_edge, width - column), vocab, T{1},
           {logits + row * vocab, vocab}, {weight + column, width}, T{0},
           {data<T>(gradient_x) + (first + row) * width + column, width});
    });
    if (head.gradient) {
      const std::int64_t ids = vocab <= 1024 ? 64 : 1024;
      context.threads.run_blocks(vocab, ids, [&](std::int64_t begin, std::int64_t end, int) {
        gemm(end - begin, width, count, T{1}, {logits + begin, vocab, true}, {input, width}, T{1},
             {data<T>(*head.gradient) + begin * width, width});
      });
    }
  }
}

template void head_cross_entropy<float>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                        double, const Tensor&, const Tensor&);
template void head_cross_entropy<double>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,
                                         double, const Tensor&, const Tensor&);

}  // namespace ziptie::cpu
