#include "engine/train/optimizer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace ziptie;

namespace {

/// Parameters on a device, each with a gradient.
class Parameters {
 public:
  Parameter& add(const std::string& name, std::int64_t elements) {
    const auto tensor = [&] {
      buffers_.push_back(backend->allocate(static_cast<std::size_t>(elements) * sizeof(float)));
      return Tensor{buffers_.back().data(), DType::f32, 1, {elements}};
    };
    Parameter parameter;
    parameter.name = name;
    parameter.value = tensor();
    parameter.gradient = tensor();
    return all.emplace_back(parameter);
  }

  void fill(const Tensor& tensor, float value) {
    const std::vector<float> values(static_cast<std::size_t>(tensor.elements()), value);
    backend->copy_to_device(tensor.data, values.data(), values.size() * sizeof(float));
  }
  float first(const Tensor& tensor) {
    float value = 0;
    backend->copy_to_host(&value, tensor.data, sizeof value);
    return value;
  }

  std::unique_ptr<Backend> backend = make_cpu_backend(1);
  std::vector<Parameter> all;

 private:
  std::vector<Buffer> buffers_;
};

OptimizerSettings settings_of(OptimizerName name) {
  OptimizerSettings settings{};
  settings.name = name;
  settings.beta1 = 0.9, settings.beta2 = 0.999, settings.epsilon = 1e-8, settings.learning_rate = 0.01;
  return settings;
}

}  // namespace

TEST_CASE("A moment that has overflown is told, though its weight is still a number") {
  Parameters parameters;
  const Parameter parameter = parameters.add("w", 8);
  Optimizer optimizer(*parameters.backend, parameters.all, settings_of(OptimizerName::adamw_torch));
  CHECK(!optimizer.not_finite());
  // Its square is beyond float32, the gradient itself is not.
  parameters.fill(*parameter.gradient, 1e25F);
  CHECK(std::isfinite(optimizer.clip_gradients()));
  optimizer.update(1, 1);
  CHECK(optimizer.not_finite() == "w.exp_avg_sq");
}

TEST_CASE("Moments are held in 8 bits from 4,096 elements on, and only where that is asked for") {
  for (const auto name :
       {OptimizerName::adamw_torch, OptimizerName::adamw_8bit, OptimizerName::paged_adamw_8bit}) {
    Parameters parameters;
    parameters.add("small", 4095);
    parameters.add("large", 4097);
    parameters.add("paged", 200'000);
    const Optimizer optimizer(*parameters.backend, parameters.all, settings_of(name));
    for (const NamedTensor& tensor : optimizer.state()) {
      const bool in_8_bits = name != OptimizerName::adamw_torch && !tensor.name.starts_with("small");
      const bool is_absmax = tensor.name.ends_with(".absmax");
      CHECK(tensor.value.dtype == (in_8_bits && !is_absmax ? DType::u8 : DType::f32));
      CHECK((in_8_bits || !is_absmax));
      if (tensor.name == "large.exp_avg.absmax") CHECK(tensor.value.elements() == 17);
    }
  }
}

TEST_CASE("Embedding and head may have a learning rate of their own, and norms and biases never decay") {
  Parameters parameters;
  parameters.add("weight", 4);
  parameters.add("embedding", 4).group = ParameterGroup::embedding;
  parameters.add("norm", 4).decays = false;
  for (const Parameter& parameter : parameters.all) {
    parameters.fill(parameter.value, 1);
    parameters.fill(*parameter.gradient, 0);
  }
  OptimizerSettings settings = settings_of(OptimizerName::adamw_torch);
  settings.embedding_learning_rate = 0.002;
  settings.weight_decay = 0.1;
  Optimizer optimizer(*parameters.backend, parameters.all, settings);
  optimizer.clip_gradients();
  // Without a slope all that happens is decay: 1 − rate · decay.
  optimizer.update(1, 0.5);
  CHECK(parameters.first(parameters.all[0].value) == doctest::Approx(1 - 0.5 * 0.01 * 0.1));
  CHECK(parameters.first(parameters.all[1].value) == doctest::Approx(1 - 0.5 * 0.002 * 0.1));
  CHECK(parameters.first(parameters.all[2].value) == 1);
}
