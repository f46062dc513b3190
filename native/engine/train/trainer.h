#pragma once
#include <cstdint>
#include <functional>
#include <optional>

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
  /// norm is not finite the weights are left as they were. `go_on` is asked before every micro-batch; once it
  /// says no there is no result, and no weight has changed.
  std::optional<StepResult> step(std::int64_t step, const std::function<bool()>& go_on);
  /// Loss over the whole evaluation set. `go_on(done, rows)` is asked before every batch, with the rows done
  /// and in all; once it says no, there is no result.
  std::optional<Loss> evaluate(const std::function<bool(std::int64_t, std::int64_t)>& go_on);

  Optimizer& optimizer() { return optimizer_; }

 private:
  const Plan& plan_;
  Llama& model_;
  const TrainingData& data_;
  Optimizer optimizer_;
};

}  // namespace ziptie
