#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "engine/io/hf_config.h"
#include "engine/train/plan_sections.h"

namespace ziptie {
namespace {

/// The hidden size of the widest decoder there is, which is also the largest rank that an update of one of
/// its weights can have.
constexpr std::int64_t largest_rank = 16384;

RopeScaling read_rope_scaling(JsonObject json) {
  RopeScaling scaling;
  const auto at_least_one = [&](const char* key) {
    const double value = json.number(key);
    if (!(value >= 1)) json.refuse(key, fmt::format("expected 1 or more, found {}", value));
    return value;
  };
  scaling.type = json.choice("rope_type", {"linear", "llama3"}) == 0 ? RopeScaling::Type::linear
                                                                     : RopeScaling::Type::llama3;
  scaling.factor = at_least_one("factor");
  if (scaling.type == RopeScaling::Type::llama3) {
    scaling.low_freq_factor = positive_number(json, "low_freq_factor");
    scaling.high_freq_factor = positive_number(json, "high_freq_factor");
    scaling.original_max_position_embeddings = json.integer("original_max_position_embeddings", 1);
  }
  json.refuse_other_keys();
  return scaling;
}

LlamaConfig read_architecture(JsonObject json) {
  LlamaConfig config;
  constexpr std::array types = {ModelType::llama, ModelType::mistral, ModelType::qwen2};
  config.model_type = types[json.choice("model_type", {"llama", "mistral", "qwen2"})];
  config.hidden_size = json.integer("hidden_size", 1);
  config.intermediate_size = json.integer("intermediate_size", 1);
  config.num_hidden_layers = json.integer("num_hidden_layers", 1);
  config.num_attention_heads = json.integer("num_attention_heads", 1);
  config.num_key_value_heads = json.integer("num_key_value_heads", 1);
  config.head_dim = json.integer("head_dim", 1);
  config.vocab_size = json.integer("vocab_size", 1);
  config.max_position_embeddings = json.integer("max_position_embeddings", 1);
  config.rms_norm_eps = positive_number(json, "rms_norm_eps");
  config.rope_theta = positive_number(json, "rope_theta");
  config.tie_word_embeddings = json.boolean("tie_word_embeddings");
  config.initializer_range = positive_number(json, "initializer_range");
  const auto token = [&](const char* key) -> std::optional<std::int64_t> {
    if (json.is_null(key)) return std::nullopt;
    return json.integer(key, 0);
  };
  config.bos_token_id = token("bos_token_id");
  config.eos_token_id = token("eos_token_id");
  if (!json.is_null("rope_scaling")) config.rope_scaling = read_rope_scaling(json.object("rope_scaling"));
  config.attention_bias = json.boolean("attention_bias");
  json.refuse_other_keys();
  try {
    check_config(config);
  } catch (const std::invalid_argument& error) {
    const std::string what = error.what();  // `KEY: WHAT`
    const auto colon = what.find(": ");
    json.refuse(what.substr(0, colon), what.substr(colon + 2));
  }
  return config;
}

VocabularyGrowth read_vocabulary(JsonObject json) {
  VocabularyGrowth vocabulary{};
  vocabulary.size = json.integer("size", 1);
  if (!json.is_null("base_size")) {
    vocabulary.base_size = json.integer("base_size", 1);
    if (*vocabulary.base_size > vocabulary.size) {
      json.refuse("base_size",
                  fmt::format("expected at most size, {}, found {}", vocabulary.size, *vocabulary.base_size));
    }
  }
  constexpr std::array initializations = {RowInitialization::random, RowInitialization::mean,
                                          RowInitialization::zip_tie};
  vocabulary.initialization = initializations[json.choice("initialization", {"random", "mean", "zip-tie"})];
  const bool mapped = vocabulary.initialization == RowInitialization::zip_tie;
  if (json.is_null("map") == mapped) {
    json.refuse("map", mapped ? "initialization 'zip-tie' needs a map, found null"
                              : "only initialization 'zip-tie' has a map; it must be null");
  }
  if (mapped) vocabulary.map = absolute_path(json, "map", json.string("map"));
  vocabulary.seed = static_cast<std::uint64_t>(json.integer("seed", 0));
  json.refuse_other_keys();
  return vocabulary;
}

void read_model(JsonObject json, Plan& plan) {
  if (json.has("path")) {
    plan.model_path = absolute_path(json, "path", json.string("path"));
    if (!json.is_null("vocabulary")) plan.vocabulary = read_vocabulary(json.object("vocabulary"));
  } else {
    plan.architecture = read_architecture(json.object("architecture"));
    plan.model_seed = static_cast<std::uint64_t>(json.integer("seed", 0));
  }
  json.refuse_other_keys();
}

/// The names in `key`, each one of `known` and none twice.
std::vector<std::string> module_names(JsonObject& json, std::string_view key,
                                      std::initializer_list<std::string_view> known) {
  const auto names = json.strings(key);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto at = fmt::format("{}[{}]", key, i);
    if (std::ranges::find(known, names[i]) == known.end()) {
      std::string all;
      for (const auto name : known) all += fmt::format("{}'{}'", all.empty() ? "" : ", ", name);
      json.refuse(at, fmt::format("'{}' is none of {}", names[i], all));
    }
    if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
        names.begin() + static_cast<std::ptrdiff_t>(i)) {
      json.refuse(at, fmt::format("'{}' is named twice", names[i]));
    }
  }
  return names;
}

AdapterConfig read_adapter(JsonObject json) {
  AdapterConfig adapter;
  adapter.r = json.integer("r", 1);
  if (adapter.r > largest_rank) {
    json.refuse("r", fmt::format("expected at most {}, found {}", largest_rank, adapter.r));
  }
  adapter.alpha = positive_number(json, "alpha");
  if (adapter.alpha > largest_alpha) {
    json.refuse("alpha", fmt::format("expected at most {}, found {}", largest_alpha, adapter.alpha));
  }
  adapter.dropout = json.number("dropout");
  if (!(adapter.dropout >= 0 && adapter.dropout < 1)) {
    json.refuse("dropout", fmt::format("expected 0 to below 1, found {}", adapter.dropout));
  }
  adapter.use_rslora = json.boolean("use_rslora");
  adapter.target_modules = module_names(json, "target_modules",
                                        {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                                         "down_proj", "embed_tokens", "lm_head"});
  if (adapter.target_modules.empty()) json.refuse("target_modules", "name at least one module");
  adapter.modules_to_save = module_names(json, "modules_to_save", {"embed_tokens", "lm_head", "norm"});
  const auto& saved = adapter.modules_to_save;
  for (std::size_t i = 0; i < saved.size(); ++i) {
    if (std::ranges::find(adapter.target_modules, saved[i]) != adapter.target_modules.end()) {
      json.refuse(
          fmt::format("modules_to_save[{}]", i),
          fmt::format("'{}' is one of target_modules too; a module is adapted or trained whole", saved[i]));
    }
  }
  json.refuse_other_keys();
  return adapter;
}

}  // namespace

void read_model_sections(JsonObject& json, Plan& plan) {
  read_model(json.object("model"), plan);
  if (!json.is_null("adapter")) plan.adapter = read_adapter(json.object("adapter"));
  if (!json.is_null("quantization")) {
    JsonObject quantization = json.object("quantization");
    quantization.choice("type", {"nf4"});
    plan.quantization = Quantization{quantization.boolean("double_quant")};
    quantization.refuse_other_keys();
    if (!plan.adapter) {
      json.refuse("quantization", "quantised weights cannot be trained; an adapter is needed beside them");
    }
  }
  plan.frozen_dtype = json.choice("frozen_dtype", {"float32", "bfloat16"}) == 0 ? DType::f32 : DType::bf16;
  constexpr std::array recompute = {Recompute::none, Recompute::selective, Recompute::full};
  plan.recompute = recompute[json.choice("recompute", {"none", "selective", "full"})];
}

}  // namespace ziptie
