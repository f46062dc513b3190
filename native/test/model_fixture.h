#pragma once
// Small models with random weights, and batches for them.

#include "engine/model/llama.h"
#include "ops_fixture.h"

namespace ziptie {

inline LlamaConfig small_config(bool tied) {
  LlamaConfig config;
  config.hidden_size = 12;
  config.intermediate_size = 10;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 4;  // heads are wider together than the hidden state
  config.vocab_size = 19;
  config.max_position_embeddings = 64;
  config.tie_word_embeddings = tied;
  config.initializer_range = 0.3;
  return config;
}

/// Large enough that work is cut into several tasks.
inline LlamaConfig medium_config() {
  LlamaConfig config = small_config(false);
  config.hidden_size = 72;
  config.intermediate_size = 172;
  config.num_attention_heads = 6;
  config.head_dim = 12;
  config.vocab_size = 517;
  config.max_position_embeddings = 512;
  return config;
}

inline const std::vector<std::string> every_module{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                   "gate_proj", "up_proj", "down_proj"};

/// The linear layers, the embedding and the head.
inline const std::vector<std::string> everywhere{
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "embed_tokens", "lm_head"};

inline AdapterConfig adapter_of(std::vector<std::string> modules, double dropout = 0) {
  return {.r = 3, .alpha = 5, .dropout = dropout, .target_modules = std::move(modules)};
}

/// Sequences with random tokens and a random mask.
struct OwnedBatch {
  std::vector<std::uint32_t> ids, offsets{0};
  std::vector<std::uint8_t> mask;

  OwnedBatch(std::initializer_list<std::uint32_t> lengths, std::uint32_t vocab, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (const auto length : lengths) {
      offsets.push_back(offsets.back() + length);
      for (std::uint32_t t = 0; t < length; ++t) {
        ids.push_back(std::uniform_int_distribution<std::uint32_t>(0, vocab - 1)(random));
        mask.push_back(std::bernoulli_distribution(0.7)(random));
      }
    }
  }
  operator Batch() const { return {ids, mask, offsets}; }
};

inline Values read(Backend& backend, const Tensor& x) {
  if (x.dtype == DType::f64) {
    Values values(x.elements());
    backend.copy_to_host(values.data(), x.data, values.size() * sizeof(double));
    return values;
  }
  std::vector<float> narrow(x.elements());
  backend.copy_to_host(narrow.data(), x.data, narrow.size() * sizeof(float));
  return Values(narrow.begin(), narrow.end());
}

/// Writes N(0, deviation²) into `parameter`.
inline void randomise(const Parameter& parameter, double deviation, std::mt19937_64& random,
                      Backend& backend) {
  std::normal_distribution<double> normal(0, deviation);
  Values values(parameter.value.elements());
  for (double& value : values) value = normal(random);
  if (parameter.value.dtype == DType::f64)
    backend.copy_to_device(parameter.value.data, values.data(), values.size() * sizeof(double));
  else
    write_parameter(parameter, std::vector<float>(values.begin(), values.end()), backend);
}

/// So that adapters and biases do something: fresh, half of them are zero.
inline void randomise_adapters(Llama& model, std::uint64_t seed) {
  model.initialize_adapter(seed);
  std::mt19937_64 random(seed);
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.in_base() || parameter.name.ends_with(".bias"))
      randomise(parameter, 0.3, random, model.backend());
  }
}

/// Loss and every gradient after one pass with dropout.
inline Values everything_after_a_pass(const ModelOptions& options, int threads, const OwnedBatch& batch,
                                      const LlamaConfig& config = medium_config()) {
  const auto backend = make_cpu_backend(threads);
  Llama model(config, options, *backend);
  model.initialize_base(3);
  randomise_adapters(model, 4);
  Values all{model.forward_backward(batch, 0.01, {5, 6, 7}).sum};
  for (const Parameter& parameter : model.parameters())
    if (parameter.gradient)
      for (const double value : read(*backend, *parameter.gradient)) all.push_back(value);
  return all;
}

}  // namespace ziptie
