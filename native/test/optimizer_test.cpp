#include "engine/train/optimizer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace ziptie;

TEST_CASE("A moment that has overflown is told, though its weight is still a number") {
  LlamaConfig config;
  config.hidden_size = 8, config.intermediate_size = 12, config.num_hidden_layers = 1;
  config.num_attention_heads = 2, config.num_key_value_heads = 1, config.head_dim = 4;
  config.vocab_size = 10, config.max_position_embeddings = 16;
  const auto backend = make_cpu_backend(1);
  Llama model(config, {}, *backend);
  model.initialize_base(3);
  OptimizerSettings settings{};
  settings.beta1 = 0.9, settings.beta2 = 0.999, settings.epsilon = 1e-8, settings.learning_rate = 0.01;
  Optimizer optimizer(model, settings);
  optimizer.zero_gradients();
  CHECK(!optimizer.not_finite());

  // Its square is beyond float32, the gradient itself is not.
  const Parameter parameter = model.parameters().front();
  const std::vector<float> gradient(static_cast<std::size_t>(parameter.gradient->elements()), 1e25F);
  backend->copy_to_device(parameter.gradient->data, gradient.data(), gradient.size() * sizeof(float));
  CHECK(std::isfinite(optimizer.clip_gradients()));
  optimizer.update(1, 1);
  CHECK(optimizer.not_finite() == parameter.name + ".exp_avg_sq");
}
