#include "engine/io/hf_config.h"

#include <fmt/core.h>

#include <set>

#include "engine/io/bitsandbytes.h"
#include "engine/io/json_object.h"
#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

void refuse_unsupported(JsonObject& config) {
  if (const auto type = config.string("model_type"); type != "llama") {
    config.refuse("model_type",
                  fmt::format("'{}' is not supported; the engine trains models of type 'llama'", type));
  }
  if (config.has_value("hidden_act")) {
    if (const auto act = config.string("hidden_act"); act != "silu") {
      config.refuse("hidden_act", fmt::format("'{}' is not supported; the engine knows 'silu'", act));
    }
  }
  for (const char* bias : {"attention_bias", "mlp_bias"}) {
    if (config.has_value(bias) && config.boolean(bias)) config.refuse(bias, "biases are not supported");
  }
  if (config.has_value("quantization_config")) {
    check_quantization_config(config.object("quantization_config"));
  }
}

/// `rope_theta` and `rope_scaling` of transformers 4, `rope_parameters` of transformers 5.
double read_rope_theta(JsonObject& config) {
  double theta = config.has_value("rope_theta") ? config.number("rope_theta") : 10000.0;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has_value(key)) continue;
    JsonObject rope = config.object(key);
    for (const char* type_key : {"rope_type", "type"}) {
      if (!rope.has_value(type_key)) continue;
      if (const auto type = rope.string(type_key); type != "default") {
        rope.refuse(type_key, fmt::format("rotary embeddings scaled by '{}' are not supported", type));
      }
    }
    if (rope.has_value("rope_theta")) theta = rope.number("rope_theta");
  }
  return theta;
}

/// A token's id; models with several end tokens name them in a list, of which the first is the main one.
std::optional<std::int64_t> read_token_id(JsonObject& config, const char* key) {
  if (!config.has_value(key)) return std::nullopt;
  if (!config.json().at(key).is_array()) return config.integer(key, 0);
  const auto& ids = config.array(key);
  if (ids.empty()) return std::nullopt;
  if (!ids[0].is_number_unsigned()) config.refuse(key, "expected token ids");
  return ids[0].get<std::int64_t>();
}

}  // namespace

LlamaConfig read_hf_config(const std::filesystem::path& directory) {
  const auto path = directory / "config.json";
  if (!std::filesystem::exists(path)) {
    throw FileError(
        fmt::format("{}: there is no config.json; name the directory of a model in Hugging Face's format",
                    directory.string()));
  }
  const auto text = read_json(path);
  JsonObject json(text, path.string());
  refuse_unsupported(json);

  LlamaConfig config;
  config.hidden_size = json.integer("hidden_size", 1);
  config.intermediate_size = json.integer("intermediate_size", 1);
  config.num_hidden_layers = json.integer("num_hidden_layers", 1);
  config.num_attention_heads = json.integer("num_attention_heads", 1);
  config.num_key_value_heads = json.has_value("num_key_value_heads") ? json.integer("num_key_value_heads", 1)
                                                                     : config.num_attention_heads;
  config.head_dim = json.has_value("head_dim") ? json.integer("head_dim", 1)
                                               : config.hidden_size / config.num_attention_heads;
  config.vocab_size = json.integer("vocab_size", 1);
  config.max_position_embeddings =
      json.has_value("max_position_embeddings") ? json.integer("max_position_embeddings", 1) : 2048;
  config.rms_norm_eps = json.has_value("rms_norm_eps") ? json.number("rms_norm_eps") : 1e-6;
  config.rope_theta = read_rope_theta(json);
  config.tie_word_embeddings = json.has_value("tie_word_embeddings") && json.boolean("tie_word_embeddings");
  config.initializer_range = json.has_value("initializer_range") ? json.number("initializer_range") : 0.02;
  config.bos_token_id = read_token_id(json, "bos_token_id");
  config.eos_token_id = read_token_id(json, "eos_token_id");
  try {
    check_config(config);
  } catch (const std::invalid_argument& error) {
    throw FileError(fmt::format("{}: {}", path.string(), error.what()));
  }
  return config;
}

std::vector<std::uint32_t> read_stop_ids(const std::filesystem::path& directory) {
  std::set<std::uint32_t> ids;
  for (const char* name : {"config.json", "generation_config.json"}) {
    const auto path = directory / name;
    if (!std::filesystem::exists(path)) continue;
    const auto json = read_json(path);
    if (!json.is_object() || !json.contains("eos_token_id")) continue;
    const auto& named = json["eos_token_id"];
    for (const auto& id : named.is_array() ? named : nlohmann::json::array({named})) {
      if (id.is_null()) continue;
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > UINT32_MAX) {
        throw FileError(
            fmt::format("{}: eos_token_id: expected token ids, found {}", path.string(), named.dump()));
      }
      ids.insert(id.get<std::uint32_t>());
    }
  }
  return {ids.begin(), ids.end()};
}

nlohmann::json hf_config_json(const LlamaConfig& config) {
  const auto token = [](const std::optional<std::int64_t>& id) {
    return id ? nlohmann::json(*id) : nlohmann::json();
  };
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.num_hidden_layers},
          {"num_attention_heads", config.num_attention_heads},
          {"num_key_value_heads", config.num_key_value_heads},
          {"head_dim", config.head_dim},
          {"vocab_size", config.vocab_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"rms_norm_eps", config.rms_norm_eps},
          {"rope_theta", config.rope_theta},
          {"rope_scaling", nullptr},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"initializer_range", config.initializer_range},
          {"bos_token_id", token(config.bos_token_id)},
          {"eos_token_id", token(config.eos_token_id)},
          {"hidden_act", "silu"},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"torch_dtype", "float32"},
          {"use_cache", true}};
}

std::vector<WeightShape> weight_shapes(const LlamaConfig& config) {
  const std::int64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  const std::int64_t query = config.num_attention_heads * config.head_dim;
  const std::int64_t key_value = config.num_key_value_heads * config.head_dim;
  std::vector<WeightShape> shapes = {{"model.embed_tokens.weight", {config.vocab_size, hidden}}};
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const auto add = [&](const char* name, std::vector<std::int64_t> shape) {
      shapes.push_back({fmt::format("model.layers.{}.{}.weight", layer, name), std::move(shape)});
    };
    add("self_attn.q_proj", {query, hidden});
    add("self_attn.k_proj", {key_value, hidden});
    add("self_attn.v_proj", {key_value, hidden});
    add("self_attn.o_proj", {hidden, query});
    add("mlp.gate_proj", {intermediate, hidden});
    add("mlp.up_proj", {intermediate, hidden});
    add("mlp.down_proj", {hidden, intermediate});
    add("input_layernorm", {hidden});
    add("post_attention_layernorm", {hidden});
  }
  shapes.push_back({"model.norm.weight", {hidden}});
  if (!config.tie_word_embeddings) shapes.push_back({"lm_head.weight", {config.vocab_size, hidden}});
  return shapes;
}

}  // namespace ziptie
