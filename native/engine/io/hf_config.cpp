#include "engine/io/hf_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "engine/io/bitsandbytes.h"
#include "engine/io/json_object.h"
#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

struct Family {
  std::string_view model_type, architecture;
  ModelType type;
};
constexpr Family families[] = {{"llama", "LlamaForCausalLM", ModelType::llama},
                               {"mistral", "MistralForCausalLM", ModelType::mistral},
                               {"qwen2", "Qwen2ForCausalLM", ModelType::qwen2}};

ModelType read_model_type(JsonObject& config) {
  const auto type = config.string("model_type");
  for (const Family& family : families)
    if (type == family.model_type) return family.type;
  config.refuse("model_type",
                fmt::format("'{}' is not supported; the engine trains models of type 'llama', 'mistral' and "
                            "'qwen2'",
                            type));
}

void refuse_unsupported(JsonObject& config) {
  if (config.has_value("hidden_act")) {
    if (const auto act = config.string("hidden_act"); act != "silu") {
      config.refuse("hidden_act", fmt::format("'{}' is not supported; the engine knows 'silu'", act));
    }
  }
  if (config.has_value("mlp_bias") && config.boolean("mlp_bias"))
    config.refuse("mlp_bias", "biases in the MLP are not supported");
  if (config.has_value("attention_dropout") && config.number("attention_dropout") != 0)
    config.refuse("attention_dropout", "dropout in attention is not supported");
  if (config.has_value("quantization_config")) {
    check_quantization_config(config.object("quantization_config"));
  }
}

/// The type of `rope_scaling` or `rope_parameters`, `default` when it names none.
std::string read_rope_type(JsonObject& rope) {
  for (const char* key : {"rope_type", "type"}) {
    if (!rope.has_value(key)) continue;
    const auto type = rope.string(key);
    if (type != "default" && type != "linear" && type != "llama3")
      rope.refuse(key, fmt::format("rotary embeddings scaled by '{}' are not supported; the engine knows "
                                   "'default', 'linear' and 'llama3'",
                                   type));
    return type;
  }
  return "default";
}

/// `rope_theta` and `rope_scaling` of transformers 4, `rope_parameters` of transformers 5.
void read_rope(JsonObject& json, LlamaConfig& config) {
  if (json.has_value("rope_theta")) config.rope_theta = json.number("rope_theta");
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!json.has_value(key)) continue;
    JsonObject rope = json.object(key);
    const auto type = read_rope_type(rope);
    if (rope.has_value("rope_theta")) config.rope_theta = rope.number("rope_theta");
    if (rope.has_value("partial_rotary_factor") && rope.number("partial_rotary_factor") != 1)
      rope.refuse("partial_rotary_factor", "rotary embeddings of a part of the head are not supported");
    if (type == "default") continue;
    RopeScaling scaling;
    scaling.factor = rope.number("factor");
    if (type == "llama3") {
      scaling.type = RopeScaling::Type::llama3;
      scaling.low_freq_factor = rope.number("low_freq_factor");
      scaling.high_freq_factor = rope.number("high_freq_factor");
      scaling.original_max_position_embeddings = rope.has_value("original_max_position_embeddings")
                                                     ? rope.integer("original_max_position_embeddings", 1)
                                                     : config.max_position_embeddings;
    }
    config.rope_scaling = scaling;
  }
}

/// How far back a layer attends, where one does not attend to everything.
std::optional<std::int64_t> read_sliding_window(JsonObject& json, const LlamaConfig& config) {
  if (config.model_type == ModelType::llama) return std::nullopt;
  const bool named = json.has("sliding_window");
  if (config.model_type == ModelType::mistral) {
    if (!named) return 4096;  // what transformers takes a config without the key for
    if (!json.has_value("sliding_window")) return std::nullopt;
    return json.integer("sliding_window", 1);
  }
  if (!json.has_value("use_sliding_window") || !json.boolean("use_sliding_window")) return std::nullopt;
  if (named && !json.has_value("sliding_window")) return std::nullopt;
  const std::int64_t window = named ? json.integer("sliding_window", 1) : 4096;
  if (json.has_value("layer_types")) {
    const auto types = json.strings("layer_types");
    return std::ranges::find(types, "sliding_attention") != types.end() ? std::optional(window)
                                                                        : std::nullopt;
  }
  const std::int64_t first = json.has_value("max_window_layers") ? json.integer("max_window_layers", 0) : 28;
  return first < config.num_hidden_layers ? std::optional(window) : std::nullopt;
}

std::int64_t read_key_value_heads(JsonObject& json, const LlamaConfig& config) {
  if (json.has_value("num_key_value_heads")) return json.integer("num_key_value_heads", 1);
  // What transformers takes a config without the key for.
  if (!json.has("num_key_value_heads") && config.model_type == ModelType::mistral) return 8;
  if (!json.has("num_key_value_heads") && config.model_type == ModelType::qwen2) return 32;
  return config.num_attention_heads;
}

nlohmann::json rope_scaling_json(const std::optional<RopeScaling>& scaling) {
  if (!scaling) return nullptr;
  if (scaling->type == RopeScaling::Type::linear)
    return {{"rope_type", "linear"}, {"type", "linear"}, {"factor", scaling->factor}};
  return {{"rope_type", "llama3"},
          {"factor", scaling->factor},
          {"low_freq_factor", scaling->low_freq_factor},
          {"high_freq_factor", scaling->high_freq_factor},
          {"original_max_position_embeddings", scaling->original_max_position_embeddings}};
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
  LlamaConfig config;
  config.model_type = read_model_type(json);
  refuse_unsupported(json);
  config.hidden_size = json.integer("hidden_size", 1);
  config.intermediate_size = json.integer("intermediate_size", 1);
  config.num_hidden_layers = json.integer("num_hidden_layers", 1);
  config.num_attention_heads = json.integer("num_attention_heads", 1);
  config.num_key_value_heads = read_key_value_heads(json, config);
  config.head_dim = json.has_value("head_dim") ? json.integer("head_dim", 1)
                                               : config.hidden_size / config.num_attention_heads;
  config.vocab_size = json.integer("vocab_size", 1);
  config.max_position_embeddings =
      json.has_value("max_position_embeddings") ? json.integer("max_position_embeddings", 1) : 2048;
  config.rms_norm_eps = json.has_value("rms_norm_eps") ? json.number("rms_norm_eps") : 1e-6;
  read_rope(json, config);
  config.attention_bias = config.model_type == ModelType::qwen2 ||
                          (config.model_type == ModelType::llama && json.has_value("attention_bias") &&
                           json.boolean("attention_bias"));
  config.sliding_window = read_sliding_window(json, config);
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
  const Family& family = *std::ranges::find(families, config.model_type, &Family::type);
  nlohmann::json json = {{"architectures", {family.architecture}},
                         {"model_type", family.model_type},
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
                         {"rope_scaling", rope_scaling_json(config.rope_scaling)},
                         {"tie_word_embeddings", config.tie_word_embeddings},
                         {"initializer_range", config.initializer_range},
                         {"bos_token_id", token(config.bos_token_id)},
                         {"eos_token_id", token(config.eos_token_id)},
                         {"hidden_act", "silu"},
                         {"torch_dtype", "float32"},
                         {"use_cache", true}};
  const nlohmann::json window =
      config.sliding_window ? nlohmann::json(*config.sliding_window) : nlohmann::json();
  switch (config.model_type) {
    case ModelType::llama:
      json["attention_bias"] = config.attention_bias;
      json["mlp_bias"] = false;
      break;
    case ModelType::mistral:
      json["sliding_window"] = window;
      break;
    case ModelType::qwen2:
      json["use_sliding_window"] = config.sliding_window.has_value();
      json["sliding_window"] = window;
      json["max_window_layers"] = config.sliding_window ? 0 : config.num_hidden_layers;
  }
  return json;
}

std::vector<WeightShape> weight_shapes(const LlamaConfig& config) {
  const std::int64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  const std::int64_t query = config.num_attention_heads * config.head_dim;
  const std::int64_t key_value = config.num_key_value_heads * config.head_dim;
  std::vector<WeightShape> shapes = {{"model.embed_tokens.weight", {config.vocab_size, hidden}}};
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const auto add = [&](const char* name, std::vector<std::int64_t> shape, bool biased = false) {
      const auto module = fmt::format("model.layers.{}.{}", layer, name);
      const std::int64_t out = shape[0];
      shapes.push_back({module + ".weight", std::move(shape)});
      if (biased) shapes.push_back({module + ".bias", {out}});
    };
    add("self_attn.q_proj", {query, hidden}, config.attention_bias);
    add("self_attn.k_proj", {key_value, hidden}, config.attention_bias);
    add("self_attn.v_proj", {key_value, hidden}, config.attention_bias);
    add("self_attn.o_proj", {hidden, query}, config.output_bias());
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
