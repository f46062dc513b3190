#include "engine/model/config.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "engine/model/modules.h"

namespace ziptie {

namespace {

constexpr int largest_initializer_range = 1000;

void check_rope_scaling(const RopeScaling& scaling) {
  const auto at_least = [](const char* key, double value, double least) {
    if (!std::isfinite(value) || value < least)
      throw std::invalid_argument(fmt::format("rope_scaling.{}: {} is not at least {}", key, value, least));
  };
  at_least("factor", scaling.factor, 1);
  if (scaling.type != RopeScaling::Type::llama3) return;
  if (!(scaling.low_freq_factor > 0))
    throw std::invalid_argument(
        fmt::format("rope_scaling.low_freq_factor: {} is not positive", scaling.low_freq_factor));
  if (!std::isfinite(scaling.high_freq_factor) || scaling.high_freq_factor <= scaling.low_freq_factor)
    throw std::invalid_argument(
        fmt::format("rope_scaling.high_freq_factor: {} is not above low_freq_factor, {}",
                    scaling.high_freq_factor, scaling.low_freq_factor));
  at_least("original_max_position_embeddings", static_cast<double>(scaling.original_max_position_embeddings),
           1);
}

template <class Names>
void check_each_names_one(const char* key, const std::vector<std::string>& names,
                          const std::vector<std::string>& modules, Names matches, const char* what) {
  for (const std::string& name : names) {
    if (std::ranges::none_of(modules, [&](const std::string& module) { return matches(name, module); }))
      throw std::invalid_argument(std::string(key) + ": " + name + " names " + what);
  }
}

void check_adapter(const LlamaConfig& config, const ModelOptions& options) {
  const AdapterConfig& adapter = *options.adapter;
  if (adapter.r < 1 || adapter.r > 1 << 20)
    throw std::invalid_argument(fmt::format("r: {} is not between 1 and {}", adapter.r, 1 << 20));
  if (!(adapter.dropout >= 0 && adapter.dropout < 1))
    throw std::invalid_argument(fmt::format("dropout: {} is not in [0, 1)", adapter.dropout));
  if (adapter.target_modules.empty() && adapter.modules_to_save.empty())
    throw std::invalid_argument("target_modules: names no module");
  const std::vector<std::string> adaptable = adaptable_modules(config), savable = savable_modules(config);
  check_each_names_one("target_modules", adapter.target_modules, adaptable, names_target,
                       "no linear layer or embedding of the model");
  check_each_names_one("modules_to_save", adapter.modules_to_save, savable, names_saved,
                       "no embedding, head or norm of the model, which alone can be trained whole");
  for (const std::string& module : adaptable) {
    if (is_adapted(module, config, options) && is_saved(module, config, options))
      throw std::invalid_argument("modules_to_save: " + module +
                                  " is named by target_modules, too; it is trained whole or by LoRA");
  }
  if (config.tie_word_embeddings && !adapter.ensure_weight_tying &&
      (is_saved(embedding_module, config, options) || is_saved(head_module, config, options)))
    throw std::invalid_argument(
        "modules_to_save: without ensure_weight_tying the embedding and the head of this tied model would be "
        "trained apart, and the engine holds them once");
}

}  // namespace

void check_config(const LlamaConfig& config) {
  // Larger than any model there is, and small enough that the bytes of all its weights, gradients and moments
  // fit an int64: seven matrices of 2^44 elements in 2^12 layers, 16 bytes each.
  const auto check = [](const char* key, std::int64_t value, std::int64_t largest) {
    if (value < 1 || value > largest) {
      throw std::invalid_argument(fmt::format("{}: {} is not between 1 and {}", key, value, largest));
    }
  };
  check("hidden_size", config.hidden_size, 1 << 22);
  check("intermediate_size", config.intermediate_size, 1 << 22);
  check("num_hidden_layers", config.num_hidden_layers, 1 << 12);
  check("num_attention_heads", config.num_attention_heads, 1 << 22);
  check("num_key_value_heads", config.num_key_value_heads, 1 << 22);
  check("head_dim", config.head_dim, 1 << 22);
  check("num_attention_heads · head_dim", config.num_attention_heads * config.head_dim, 1 << 22);
  check("vocab_size", config.vocab_size, 1 << 24);
  check("max_position_embeddings", config.max_position_embeddings, 1 << 24);
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    throw std::invalid_argument(fmt::format("num_key_value_heads: {} does not divide num_attention_heads, {}",
                                            config.num_key_value_heads, config.num_attention_heads));
  }
  if (config.head_dim % 2 != 0) {
    throw std::invalid_argument(fmt::format(
        "head_dim: {} is odd; rotary embeddings turn pairs (hidden_size / num_attention_heads = {} / {})",
        config.head_dim, config.hidden_size, config.num_attention_heads));
  }
  // Far beyond what anybody starts from, and small enough that no number drawn is too large for float16.
  if (!(config.initializer_range >= 0 && config.initializer_range <= largest_initializer_range))
    throw std::invalid_argument(fmt::format("initializer_range: {} is not between 0 and {}",
                                            config.initializer_range, largest_initializer_range));
  if (!(config.rms_norm_eps > 0))
    throw std::invalid_argument(fmt::format("rms_norm_eps: {} is not positive", config.rms_norm_eps));
  if (!(config.rope_theta > 0))
    throw std::invalid_argument(fmt::format("rope_theta: {} is not positive", config.rope_theta));
  if (config.model_type == ModelType::qwen2 && !config.attention_bias)
    throw std::invalid_argument("attention_bias: a qwen2 has biases on q, k and v");
  if (config.model_type == ModelType::mistral && config.attention_bias)
    throw std::invalid_argument("attention_bias: a mistral has no biases");
  if (config.sliding_window) check("sliding_window", *config.sliding_window, INT64_MAX);
  if (config.rope_scaling) check_rope_scaling(*config.rope_scaling);
}

void check_options(const LlamaConfig& config, const ModelOptions& options) {
  if (options.adapter) check_adapter(config, options);
  if (options.frozen_dtype != DType::f32 && options.frozen_dtype != DType::bf16)
    throw std::invalid_argument("frozen_dtype: frozen weights are held in float32 or bfloat16");
  if (options.quantization && options.train && !options.adapter)
    throw std::invalid_argument("quantization: quantised weights cannot be trained; train an adapter");
}

}  // namespace ziptie
