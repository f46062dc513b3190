#pragma once
#include <cstdint>
#include <functional>

#include "engine/io/interruption.h"
#include "engine/model/llama.h"
#include "engine/train/optimizer.h"
#include "engine/train/plan.h"
#include "engine/train/training_data.h"

namespace ziptie {

struct StepResult {
  double loss = 0;           ///< mean negative log-likelihood per supervised token of the whole step
  double learning_rate = 0;  ///< but for embeddings, which may have their own
  double grad_norm = 0;      ///< before clipping
  std::int64_t tokens = 0, supervised_tokens = 0;

  bool is_finite() const;
};

/// Carries out single optimizer steps and evaluations. Knows no files and no clock.
class Trainer {
 public:
  Trainer(const Plan& plan, Llama& model, const TrainingData& data);

  /// Optimizer step `step`, which counts from 1: every micro-batch, clipping, AdamW. When loss or gradient
  /// norm is not finite the weights are left as they were. `interruption` is asked within every micro-batch;
  /// when it throws, weights, gradients and moments are as if the step had not begun.
  StepResult step(std::int64_t step, const InterruptionPoint& interruption);
  /// Loss over the whole evaluation set. `progress(done, rows)` is called before every batch, with the rows
  /// done and in all; `interruption` is asked within every batch.
  Loss evaluate(const std::function<void(std::int64_t, std::int64_t)>& progress,
                const InterruptionPoint& interruption);

  Optimizer& optimizer() { return optimizer_; }

 private:
  /// Adds every micro-batch's gradients; the sum of their losses.
  double accumulate(const std::vector<TokenBatch>& batches, double scale, std::int64_t step,
                    const InterruptionPoint& interruption);

  const Plan& plan_;
  Llama& model_;
  const TrainingData& data_;
  Optimizer optimizer_;
};

}  // namespace ziptie
