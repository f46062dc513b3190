#include "engine/train/optimizer.h"

#include <algorithm>
#include <cmath>

namespace ziptie {

Optimizer::Optimizer(Llama& model, const OptimizerSettings& settings)
    : settings_(settings), backend_(model.backend()), clip_(backend_.allocate(2 * sizeof(double))) {
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.gradient) continue;
    parameters_.push_back(parameter);
    gradients_.push_back(*parameter.gradient);
    const auto moment = [&] {
      buffers_.push_back(
          backend_.allocate(static_cast<std::size_t>(parameter.value.elements()) * sizeof(float)));
      Tensor tensor = parameter.value;
      tensor.data = buffers_.back().data();
      return tensor;
    };
    moments_.push_back({moment(), moment()});
  }
}

void Optimizer::zero_gradients() {
  for (const Parameter& parameter : parameters_) backend_.fill_zero(*parameter.gradient);
}

double Optimizer::clip_gradients(double limit) {
  backend_.clip_scale(gradients_, limit, {clip_.data(), DType::f64, 1, {2}});
  double norm = 0;
  backend_.copy_to_host(&norm, clip_.data(), sizeof(norm));
  return norm;
}

std::optional<std::string> Optimizer::not_finite() {
  for (const auto& tensors : {weights(), state()}) {
    for (const NamedTensor& tensor : tensors) {
      if (!std::isfinite(backend_.squared_norm(tensor.value))) return tensor.name;
    }
  }
  return std::nullopt;
}

void Optimizer::update(std::int64_t step, double learning_rate) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    const double weight_decay = parameter.decays ? settings_.weight_decay : 0;
    backend_.adamw(parameter.value, *parameter.gradient, moments_[i].first, moments_[i].second,
                   {learning_rate, settings_.beta1, settings_.beta2, settings_.epsilon, weight_decay, step},
                   {clip_.data(), DType::f64, 1, {2}});
  }
}

std::vector<NamedTensor> Optimizer::weights() const {
  std::vector<NamedTensor> weights;
  for (const Parameter& parameter : parameters_) weights.push_back({parameter.name, parameter.value});
  return weights;
}

std::vector<NamedTensor> Optimizer::state() const {
  std::vector<NamedTensor> state;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    state.push_back({parameters_[i].name + ".exp_avg", moments_[i].first});
    state.push_back({parameters_[i].name + ".exp_avg_sq", moments_[i].second});
  }
  return state;
}

std::int64_t Optimizer::trainable_parameters() const {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters_) count += parameter.value.elements();
  return count;
}

}  // namespace ziptie
