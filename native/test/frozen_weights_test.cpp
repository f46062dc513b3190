// Models whose frozen weights are held in fewer bits than they are computed with.

#include "model_fixture.h"

using namespace ziptie;

namespace {

/// The same weights, each as `model` holds it, in float32.
void copy_weights(Llama& from, Llama& to) {
  for (std::size_t i = 0; i < from.parameters().size(); ++i)
    write_parameter(to.parameters()[i], read_parameter(from.parameters()[i], from.backend()), to.backend());
}

/// Loss and every gradient after one pass.
Values after_a_pass(Llama& model, const OwnedBatch& batch) {
  Values all{model.forward_backward(batch, 0.01, {5, 6, 7}).sum};
  for (const Parameter& parameter : model.parameters())
    if (parameter.gradient)
      for (const double value : read(model.backend(), *parameter.gradient)) all.push_back(value);
  return all;
}

void check_like_float32(const ModelOptions& options) {
  const auto backend = make_cpu_backend(2);
  LlamaConfig config = medium_config();
  config.model_type = ModelType::qwen2;
  config.attention_bias = true;
  config.tie_word_embeddings = true;
  Llama narrow(config, options, *backend);
  narrow.initialize_base(1);
  randomise_adapters(narrow, 2);
  Llama wide(config, {.adapter = options.adapter}, *backend);
  copy_weights(narrow, wide);
  const OwnedBatch batch({40, 133, 7}, 517, 3);
  const std::vector<float> ours = narrow.logits(batch), expected = wide.logits(batch);
  CHECK(relative_error(Values(ours.begin(), ours.end()), Values(expected.begin(), expected.end())) < 1e-5);
  CHECK(relative_error(after_a_pass(narrow, batch), after_a_pass(wide, batch)) < 1e-5);
}

}  // namespace

TEST_CASE("frozen weights in bfloat16 or NF4 compute what their values do in float32") {
  const AdapterConfig adapter = adapter_of(everywhere, 0.1);
  check_like_float32({.adapter = adapter, .frozen_dtype = DType::bf16});
  check_like_float32({.adapter = adapter, .quantization = Quantization{.double_quant = false}});
  check_like_float32(
      {.adapter = adapter, .quantization = Quantization{.double_quant = true}, .frozen_dtype = DType::bf16});
}

TEST_CASE("each weight is held in its form alone: NF4 inside the decoder, bfloat16 or float32 elsewhere") {
  const auto backend = make_cpu_backend(1);
  AdapterConfig adapter = adapter_of({"q_proj"});
  adapter.modules_to_save = {"lm_head"};
  const ModelOptions options{.adapter = adapter, .quantization = Quantization{}, .frozen_dtype = DType::bf16};
  Llama model(small_config(false), options, *backend);
  for (const Parameter& parameter : model.parameters()) {
    CAPTURE(parameter.name);
    const bool decoder_linear =
        parameter.in_base() && parameter.name.find("_proj.weight") != std::string::npos;
    CHECK(parameter.quantized.has_value() == decoder_linear);
    CHECK((parameter.value.data == nullptr) == decoder_linear);
    if (parameter.name == "model.embed_tokens.weight") CHECK(parameter.value.dtype == DType::bf16);
    if (parameter.name == "lm_head.weight" || parameter.value.rank == 1)
      CHECK(parameter.value.dtype == DType::f32);
    CHECK(parameter.gradient.has_value() == !parameter.adapter_tensors.empty());
  }
}

TEST_CASE("a model for inference has no gradients and can be held in bfloat16 without an adapter") {
  const auto backend = make_cpu_backend(2);
  Llama narrow(medium_config(), {.frozen_dtype = DType::bf16, .train = false}, *backend);
  narrow.initialize_base(1);
  for (const Parameter& parameter : narrow.parameters()) CHECK_FALSE(parameter.gradient);
  Llama wide(medium_config(), {.train = false}, *backend);
  copy_weights(narrow, wide);
  const OwnedBatch batch({30}, 517, 3);
  CHECK(std::abs(narrow.forward(batch).sum / wide.forward(batch).sum - 1) < 1e-5);
}
