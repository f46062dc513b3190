#include "engine/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ziptie {

namespace {

// bitsandbytes' `min_8bit_size`, its block, and the size from which its paged optimizers page.
constexpr std::int64_t smallest_in_8_bits = 4096, block_size = 256, smallest_paged = 100'000;

}  // namespace

Optimizer::Optimizer(Backend& backend, std::span<const Parameter> parameters,
                     const OptimizerSettings& settings)
    : settings_(settings), backend_(backend), clip_(backend_.allocate(2 * sizeof(double))) {
  for (const Parameter& parameter : parameters) {
    if (!parameter.gradient) continue;
    const bool embeds = parameter.group == ParameterGroup::embedding;
    trained_.push_back(
        {parameter,
         embeds ? settings.embedding_learning_rate.value_or(settings.learning_rate) : settings.learning_rate,
         parameter.decays ? settings.weight_decay : 0, make_state(parameter.value)});
    gradients_.push_back(*parameter.gradient);
  }
}

Tensor Optimizer::allocate(DType dtype, const Tensor& like, Placement placement) {
  buffers_.push_back(
      backend_.allocate(static_cast<std::size_t>(like.elements()) * size_of(dtype), placement));
  Tensor tensor = like;
  tensor.data = buffers_.back().data();
  tensor.dtype = dtype;
  return tensor;
}

Adamw8State Optimizer::make_state(const Tensor& value) {
  Adamw8State state;
  const bool in_8_bits =
      settings_.name != OptimizerName::adamw_torch && value.elements() >= smallest_in_8_bits;
  if (settings_.name == OptimizerName::paged_adamw_8bit && value.elements() >= smallest_paged)
    state.placement = Placement::host;
  const DType dtype = in_8_bits ? DType::u8 : DType::f32;
  state.first = allocate(dtype, value, state.placement);
  state.second = allocate(dtype, value, state.placement);
  if (in_8_bits) {
    const Tensor blocks{nullptr, DType::f32, 1, {(value.elements() + block_size - 1) / block_size}};
    state.first_absmax = allocate(DType::f32, blocks, Placement::device);
    state.second_absmax = allocate(DType::f32, blocks, Placement::device);
  }
  return state;
}

void Optimizer::zero_gradients() {
  for (const Tensor& gradient : gradients_) backend_.fill_zero(gradient);
}

double Optimizer::clip_gradients() {
  backend_.clip_scale(gradients_, settings_.max_grad_norm.value_or(std::numeric_limits<double>::infinity()),
                      clip());
  double norm = 0;
  backend_.copy_to_host(&norm, clip_.data(), sizeof(norm));
  return norm;
}

std::optional<std::string> Optimizer::not_finite() {
  for (const auto& tensors : {weights(), state()}) {
    for (const NamedTensor& tensor : tensors) {
      if (tensor.value.dtype != DType::u8 && !std::isfinite(backend_.squared_norm(tensor.value)))
        return tensor.name;
    }
  }
  return std::nullopt;
}

void Optimizer::update(std::int64_t step, double rate_factor) {
  for (const Trained& trained : trained_) {
    const AdamwStep adamw{
        trained.learning_rate * rate_factor,
        settings_.beta1,
        settings_.beta2,
        settings_.epsilon,
        trained.weight_decay,
        step,
        settings_.name == OptimizerName::adamw_torch ? DecayOrder::before_update : DecayOrder::after_update};
    const Tensor& value = trained.parameter.value;
    const Tensor& gradient = *trained.parameter.gradient;
    if (trained.in_8_bits()) {
      backend_.adamw8(value, gradient, trained.state, adamw, clip());
    } else {
      backend_.adamw(value, gradient, trained.state.first, trained.state.second, adamw, clip());
    }
  }
}

std::vector<NamedTensor> Optimizer::weights() const {
  std::vector<NamedTensor> weights;
  for (const auto& trained : trained_) weights.push_back({trained.parameter.name, trained.parameter.value});
  return weights;
}

std::vector<NamedTensor> Optimizer::state() const {
  std::vector<NamedTensor> state;
  for (const auto& trained : trained_) {
    const std::string& name = trained.parameter.name;
    state.push_back({name + ".exp_avg", trained.state.first});
    state.push_back({name + ".exp_avg_sq", trained.state.second});
    if (!trained.in_8_bits()) continue;
    state.push_back({name + ".exp_avg.absmax", trained.state.first_absmax});
    state.push_back({name + ".exp_avg_sq.absmax", trained.state.second_absmax});
  }
  return state;
}

std::int64_t Optimizer::trainable_parameters() const {
  std::int64_t count = 0;
  for (const auto& trained : trained_) count += trained.parameter.value.elements();
  return count;
}

}  // namespace ziptie
