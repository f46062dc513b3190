#include "engine/train/trainer.h"

#include <algorithm>
#include <cmath>

namespace ziptie {

bool StepResult::is_finite() const { return std::isfinite(loss) && std::isfinite(grad_norm); }

Trainer::Trainer(const Plan& plan, Llama& model, const TrainingData& data)
    : plan_(plan),
      model_(model),
      data_(data),
      optimizer_(model.backend(), model.parameters(), plan.optimizer) {}

StepResult Trainer::step(std::int64_t step, const InterruptionPoint& interruption) {
  const auto batches = data_.step(step);
  StepResult result;
  for (const TokenBatch& batch : batches) {
    result.tokens += batch.tokens();
    result.supervised_tokens += batch.supervised_tokens();
  }
  // Counted first, over all micro-batches: a mean of their means would weigh tokens by the company they keep.
  const double scale = 1.0 / static_cast<double>(result.supervised_tokens);

  result.loss = accumulate(batches, scale, step, interruption) * scale;
  result.grad_norm = optimizer_.clip_gradients();
  const double rate_factor = learning_rate_factor(plan_.schedule, step);
  result.learning_rate = plan_.optimizer.learning_rate * rate_factor;
  if (!result.is_finite()) return result;

  optimizer_.update(step, rate_factor);
  return result;
}

double Trainer::accumulate(const std::vector<TokenBatch>& batches, double scale, std::int64_t step,
                           const InterruptionPoint& interruption) {
  optimizer_.zero_gradients();
  double sum = 0;
  try {
    for (std::size_t i = 0; i < batches.size(); ++i) {
      const StepKey key{plan_.seed, static_cast<std::uint64_t>(step), i};
      sum += model_.forward_backward(batches[i].view(), scale, key, interruption).sum;
    }
  } catch (...) {
    optimizer_.zero_gradients();
    throw;
  }
  return sum;
}

Loss Trainer::evaluate(const std::function<void(std::int64_t, std::int64_t)>& progress,
                       const InterruptionPoint& interruption) {
  const TokenDataset& rows = *data_.evaluation();
  Loss all;
  for (std::int64_t begin = 0; begin < rows.units(); begin += plan_.evaluation->batch_size) {
    progress(begin, rows.units());
    TokenBatch batch;
    const std::int64_t end = std::min(rows.units(), begin + plan_.evaluation->batch_size);
    for (std::int64_t row = begin; row < end; ++row) rows.append_unit(row, batch);
    const Loss loss = model_.forward(batch.view(), interruption);
    all.sum += loss.sum;
    all.tokens += loss.tokens;
  }
  return all;
}

}  // namespace ziptie
