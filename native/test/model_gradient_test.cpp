// The whole model's gradients against central differences in float64.

#include "model_fixture.h"

using namespace ziptie;

namespace {

void check_every_gradient(const LlamaConfig& config, ModelOptions options) {
  options.dtype = DType::f64;
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  const auto backend = make_cpu_backend(1);  // thousands of passes, each too small to share
  Llama model(config, options, *backend);
  model.initialize_base(seed);
  randomise_adapters(model, seed + 1);
  OwnedBatch batch({5, 1, 7, 3}, static_cast<std::uint32_t>(config.vocab_size), seed + 2);
  batch.mask[1] = 1;  // at least one token carries loss
  const double scale = 0.5;
  const StepKey key{seed, 1, 2};
  model.forward_backward(batch, scale, key);
  std::vector<Values> gradients;
  std::size_t trainable = 0;
  for (const Parameter& parameter : model.parameters()) {
    gradients.push_back(parameter.gradient ? read(*backend, *parameter.gradient) : Values{});
    trainable += parameter.gradient.has_value();
  }
  REQUIRE(trainable > 0);
  for (std::size_t index = 0; index < gradients.size(); ++index) {
    const Parameter& parameter = model.parameters()[index];
    if (!parameter.gradient) continue;
    const Values at = read(*backend, parameter.value);
    Values numeric(at.size());
    const auto write = [&](std::size_t i, double value) {
      backend->copy_to_device(static_cast<double*>(parameter.value.data) + i, &value, sizeof value);
    };
    const auto loss_at = [&](std::size_t i, double value) {
      write(i, value);
      if (!options.adapter || options.adapter->dropout == 0) return model.forward(batch).sum;
      return model.forward_backward(batch, 0, key).sum;  // a scale of 0 leaves the gradients alone
    };
    for (std::size_t i = 0; i < at.size(); ++i) {
      constexpr double step = 1e-5;
      numeric[i] = scale * (loss_at(i, at[i] + step) - loss_at(i, at[i] - step)) / (2 * step);
      write(i, at[i]);
    }
    CAPTURE(parameter.name);
    CHECK(relative_error(gradients[index], numeric) < 1e-6);
  }
}

}  // namespace

TEST_CASE("every gradient of full training, untied and tied") {
  check_every_gradient(small_config(false), {});
  check_every_gradient(small_config(true), {});
}

TEST_CASE("every gradient with biases and scaled rotary embedding") {
  LlamaConfig qwen2 = small_config(true);
  qwen2.model_type = ModelType::qwen2;
  qwen2.attention_bias = true;
  check_every_gradient(qwen2, {});
  LlamaConfig llama = small_config(false);
  llama.attention_bias = true;
  llama.rope_theta = 20;
  llama.rope_scaling = RopeScaling{RopeScaling::Type::llama3, 8, 1, 4, 64};
  check_every_gradient(llama, {});
}

TEST_CASE("every gradient of LoRA on all linear layers, on some, with rsLoRA, and with dropout") {
  check_every_gradient(small_config(true), {.adapter = adapter_of(every_module)});
  AdapterConfig some = adapter_of({"v_proj", "up_proj"});
  some.use_rslora = true;
  check_every_gradient(small_config(false), {.adapter = some});
  check_every_gradient(small_config(true), {.adapter = adapter_of(every_module, 0.4)});
}

TEST_CASE("every gradient of LoRA on the embedding and the head, apart, tied, alone, and with dropout") {
  check_every_gradient(small_config(false), {.adapter = adapter_of(everywhere)});
  check_every_gradient(small_config(true), {.adapter = adapter_of(everywhere)});
  check_every_gradient(small_config(true), {.adapter = adapter_of({"lm_head", "q_proj"}, 0.4)});
  check_every_gradient(small_config(false), {.adapter = adapter_of({"embed_tokens"})});
  check_every_gradient(small_config(false), {.adapter = adapter_of({"lm_head"}, 0.4)});
  AdapterConfig one_end = adapter_of({"lm_head", "v_proj"});
  one_end.ensure_weight_tying = false;
  check_every_gradient(small_config(true), {.adapter = one_end});
}

TEST_CASE("every gradient of modules that are trained whole beside an adapter, and of one layer alone") {
  AdapterConfig adapter = adapter_of({"q_proj", "down_proj"});
  adapter.modules_to_save = {"embed_tokens", "norm"};
  check_every_gradient(small_config(false), {.adapter = adapter});
  adapter.modules_to_save = {"lm_head"};
  check_every_gradient(small_config(true), {.adapter = adapter});
  AdapterConfig one_layer = adapter_of({"layers.1.self_attn.k_proj", "model.layers.1.mlp.down_proj"});
  check_every_gradient(small_config(false), {.adapter = one_layer, .recompute = Recompute::full});
}

TEST_CASE("gradients of two micro-batches add up to those of both in one") {
  const auto backend = make_cpu_backend(2);
  const OwnedBatch both({9, 14, 30}, 19, 1);
  const auto gradients_of = [&](bool apart) {
    Llama model(small_config(true), {.dtype = DType::f64}, *backend);
    model.initialize_base(2);
    if (apart) {
      const std::uint32_t first[] = {0, 9, 23}, second[] = {0, 30};
      const std::span<const std::uint32_t> ids(both.ids);
      const std::span<const std::uint8_t> mask(both.mask);
      model.forward_backward({ids.first(23), mask.first(23), first}, 0.1, {});
      model.forward_backward({ids.subspan(23), mask.subspan(23), second}, 0.1, {});
    } else {
      model.forward_backward(both, 0.1, {});
    }
    Values all;
    for (const Parameter& parameter : model.parameters())
      for (const double value : read(*backend, *parameter.gradient)) all.push_back(value);
    return all;
  };
  CHECK(relative_error(gradients_of(true), gradients_of(false)) < 1e-12);
}
