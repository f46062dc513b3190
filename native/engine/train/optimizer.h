#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/tensor_transfer.h"
#include "engine/model/llama.h"

namespace ziptie {

enum class OptimizerName { adamw_torch, adamw_8bit, paged_adamw_8bit };

struct OptimizerSettings {
  OptimizerName name = OptimizerName::adamw_torch;
  double learning_rate;                           ///< the schedule's peak
  std::optional<double> embedding_learning_rate;  ///< of embedding and head, whole or adapted
  double beta1, beta2, epsilon;
  double weight_decay;  ///< decoupled; not applied to norms and biases
  std::optional<double> max_grad_norm;
};

/// torch.optim.AdamW over the parameters of a model that have gradients.
class Optimizer {
 public:
  Optimizer(Llama& model, const OptimizerSettings& settings);

  void zero_gradients();
  /// Measures the L2 norm of all gradients together, not finite when one of them is not, and sets how far the
  /// next update clips them: to `limit`, which may be infinite.
  double clip_gradients(double limit);
  /// The name of the first trained weight or moment, as in `weights` and `state`, that holds a number which
  /// is not finite.
  std::optional<std::string> not_finite();
  /// One step. `step` counts from 1; gradients are clipped as `clip_gradients` found.
  void update(std::int64_t step, double learning_rate);

  /// The trained parameters.
  std::vector<NamedTensor> weights() const;
  /// torch's `exp_avg` and `exp_avg_sq` of each, as `NAME.exp_avg`.
  std::vector<NamedTensor> state() const;
  std::int64_t trainable_parameters() const;

 private:
  struct Moments {
    Tensor first, second;
  };

  OptimizerSettings settings_;
  Backend& backend_;
  std::vector<Parameter> parameters_;
  std::vector<Moments> moments_;
  std::vector<Tensor> gradients_;
  std::vector<Buffer> buffers_;
  Buffer clip_;
};

}  // namespace ziptie
