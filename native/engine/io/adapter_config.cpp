#include "engine/io/adapter_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "engine/io/json_object.h"
#include "engine/io/safetensors.h"
#include "engine/model/modules.h"

namespace ziptie {
namespace {

/// PEFT's shorthand for every linear layer but the head.
const std::vector<std::string> all_linear = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                             "gate_proj", "up_proj", "down_proj"};

std::vector<std::string> read_target_modules(JsonObject& json) {
  if (!json.has_value("target_modules")) return {};
  if (!json.json()["target_modules"].is_string()) return json.strings("target_modules");
  const auto pattern = json.string("target_modules");
  if (pattern == "all-linear") return all_linear;
  json.refuse("target_modules", fmt::format("the pattern '{}' is not supported; list the modules", pattern));
}

/// The names as PEFT leaves them in a tied model: the embedding stands for the head, too.
std::vector<std::string> tied_names(const std::vector<std::string>& names) {
  const auto is_head = [](const std::string& name) { return names_target(name, head_module); };
  const auto is_embedding = [](const std::string& name) { return names_target(name, embedding_module); };
  std::vector<std::string> tied;
  std::ranges::remove_copy_if(names, std::back_inserter(tied), is_head);
  if (tied.size() < names.size() && std::ranges::none_of(tied, is_embedding))
    tied.emplace_back("embed_tokens");
  return tied;
}

}  // namespace

AdapterConfig read_adapter_config(const std::filesystem::path& directory) {
  const auto path = directory / adapter_config_file;
  if (!std::filesystem::exists(path)) {
    throw FileError(fmt::format("{}: there is no {}; name the directory of a PEFT adapter",
                                directory.string(), adapter_config_file));
  }
  const auto text = read_json(path);
  JsonObject json(text, path.string());
  if (const auto type = json.string("peft_type"); type != "LORA") {
    json.refuse("peft_type", fmt::format("'{}' is not supported; the engine knows 'LORA'", type));
  }
  if (json.has_value("bias") && json.string("bias") != "none")
    json.refuse("bias", "trained biases are not supported");
  for (const char* flag : {"use_dora", "fan_in_fan_out", "lora_bias"}) {
    if (json.has_value(flag) && json.boolean(flag)) json.refuse(flag, "is not supported");
  }
  for (const char* key :
       {"rank_pattern", "alpha_pattern", "layers_to_transform", "layer_replication", "exclude_modules",
        "trainable_token_indices", "target_parameters", "alora_invocation_tokens"}) {
    if (json.has_value(key) && !json.json()[key].empty()) json.refuse(key, "is not supported");
  }
  // PEFT takes what these start from out of the base weights when it loads the adapter; added to the base as
  // it is, they would give something else without a word.
  if (json.has_value("init_lora_weights") && json.json()["init_lora_weights"].is_string()) {
    const std::string start = json.string("init_lora_weights");
    for (const char* changes_base : {"pissa", "olora", "corda", "loftq"}) {
      if (start.starts_with(changes_base)) {
        json.refuse(
            "init_lora_weights",
            fmt::format("'{}' changes the base weights; convert the adapter to plain LoRA with PEFT", start));
      }
    }
  }
  AdapterConfig config;
  config.r = json.integer("r", 1);
  // PEFT takes any number, whole or not, and of either sign.
  config.alpha = json.number("lora_alpha");
  if (!(std::abs(config.alpha) <= largest_alpha)) {
    json.refuse("lora_alpha",
                fmt::format("expected {} to {}, found {}", -largest_alpha, largest_alpha, config.alpha));
  }
  config.dropout = json.has_value("lora_dropout") ? json.number("lora_dropout") : 0;
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    json.refuse("lora_dropout", fmt::format("expected 0 to below 1, found {}", config.dropout));
  }
  config.use_rslora = json.has_value("use_rslora") && json.boolean("use_rslora");
  config.target_modules = read_target_modules(json);
  if (json.has_value("modules_to_save")) config.modules_to_save = json.strings("modules_to_save");
  config.ensure_weight_tying = json.has_value("ensure_weight_tying") && json.boolean("ensure_weight_tying");
  return config;
}

nlohmann::json adapter_config_json(const LlamaConfig& model, const AdapterConfig& config,
                                   const std::string& base_model) {
  const bool whole = config.alpha == std::floor(config.alpha);
  const bool ties = model.tie_word_embeddings && config.ensure_weight_tying;
  const auto targets = ties ? tied_names(config.target_modules) : config.target_modules;
  const auto saved = ties ? tied_names(config.modules_to_save) : config.modules_to_save;
  const auto has_embedding = [](const std::vector<std::string>& names) {
    return std::ranges::any_of(names,
                               [](const std::string& name) { return names_target(name, embedding_module); });
  };
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", base_model.empty() ? nlohmann::json() : nlohmann::json(base_model)},
          {"r", config.r},
          {"lora_alpha",
           whole ? nlohmann::json(static_cast<std::int64_t>(config.alpha)) : nlohmann::json(config.alpha)},
          {"lora_dropout", config.dropout},
          {"use_rslora", config.use_rslora},
          {"target_modules", targets},
          {"modules_to_save", saved.empty() ? nlohmann::json() : nlohmann::json(saved)},
          {"ensure_weight_tying", ties && (has_embedding(targets) || has_embedding(saved))},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"inference_mode", true},
          {"init_lora_weights", true},
          {"use_dora", false}};
}

}  // namespace ziptie
