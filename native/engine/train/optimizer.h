#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/io/tensor_transfer.h"
#include "engine/model/parameter.h"

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

/// AdamW over those parameters that have gradients: torch.optim.AdamW, or bitsandbytes' AdamW8bit,
/// which holds the moments of parameters from 4,096 elements on in 8 bits, and decays after the update.
/// Paged, the 8-bit moments of large parameters lie in host memory.
class Optimizer {
 public:
  Optimizer(Backend& backend, std::span<const Parameter> parameters, const OptimizerSettings& settings);

  void zero_gradients();
  /// Measures the L2 norm of all gradients together, not finite when one of them is not, and sets how far the
  /// next update clips them: to `max_grad_norm`.
  double clip_gradients();
  /// The name of the first trained weight or moment, as in `weights` and `state`, that holds a number which
  /// is not finite.
  std::optional<std::string> not_finite();
  /// One step. `step` counts from 1; learning rates are `rate_factor` times their peak; gradients are clipped
  /// as `clip_gradients` found.
  void update(std::int64_t step, double rate_factor);

  /// The trained parameters.
  std::vector<NamedTensor> weights() const;
  /// torch's `exp_avg` and `exp_avg_sq` of each, as `NAME.exp_avg`; where they are in 8 bits with
  /// `NAME.exp_avg.absmax`.
  std::vector<NamedTensor> state() const;
  std::int64_t trainable_parameters() const;

 private:
  struct Trained {
    Parameter parameter;
    double learning_rate;  ///< its peak
    double weight_decay;
    Adamw8State state;  ///< without 8 bits, `first` and `second` are f32 and have no absmax

    bool in_8_bits() const { return state.first_absmax.data != nullptr; }
  };

  Tensor allocate(DType dtype, const Tensor& like, Placement placement);
  Adamw8State make_state(const Tensor& value);
  Tensor clip() const { return {clip_.data(), DType::f64, 1, {2}}; }

  OptimizerSettings settings_;
  Backend& backend_;
  std::vector<Trained> trained_;
  std::vector<Tensor> gradients_;
  std::vector<Buffer> buffers_;
  Buffer clip_;
};

}  // namespace ziptie
