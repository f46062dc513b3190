#include "engine/io/peft_adapter.h"

#include <fmt/core.h>

#include <cmath>
#include <set>

#include "engine/io/durable_file.h"
#include "engine/io/json_object.h"
#include "engine/io/tensor_transfer.h"

namespace ziptie {
namespace {

constexpr const char* weights_file = "adapter_model.safetensors";
constexpr const char* config_file = "adapter_config.json";

/// PEFT's shorthand for every linear layer but the head.
const std::vector<std::string> all_linear = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                             "gate_proj", "up_proj", "down_proj"};

std::vector<std::string> read_target_modules(JsonObject& json) {
  if (!json.has("target_modules") || !json.json()["target_modules"].is_string())
    return json.strings("target_modules");
  const auto pattern = json.string("target_modules");
  if (pattern == "all-linear") return all_linear;
  json.refuse("target_modules", fmt::format("the pattern '{}' is not supported; list the modules", pattern));
}

}  // namespace

AdapterConfig read_adapter_config(const std::filesystem::path& directory) {
  const auto path = directory / config_file;
  if (!std::filesystem::exists(path)) {
    throw FileError(fmt::format("{}: there is no {}; name the directory of a PEFT adapter",
                                directory.string(), config_file));
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
       {"modules_to_save", "rank_pattern", "alpha_pattern", "layers_to_transform", "layer_replication",
        "exclude_modules", "trainable_token_indices", "target_parameters", "alora_invocation_tokens"}) {
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
  config.alpha = json.number("lora_alpha");
  config.dropout = json.has_value("lora_dropout") ? json.number("lora_dropout") : 0;
  config.use_rslora = json.has_value("use_rslora") && json.boolean("use_rslora");
  config.target_modules = read_target_modules(json);
  return config;
}

void load_adapter(const std::filesystem::path& directory, Llama& model) {
  const SafetensorsFile file(directory / weights_file);
  std::set<std::string> expected;
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.name.starts_with(adapter_prefix)) continue;
    expected.insert(parameter.name);
    load_tensor(file.path(), file.at(parameter.name), parameter.value, model.backend());
  }
  for (const auto& [name, tensor] : file.tensors()) {
    if (!expected.contains(name)) {
      throw FileError(fmt::format("{}: tensor '{}' has no place in the model with this adapter",
                                  file.path().string(), name));
    }
  }
}

void write_adapter(const std::filesystem::path& directory, Llama& model, const AdapterConfig& config,
                   const std::string& base_model) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.name.starts_with(adapter_prefix)) tensors.push_back({parameter.name, parameter.value});
  }
  save_tensors(directory / weights_file, tensors, {{"format", "pt"}}, model.backend());

  const bool whole = config.alpha == std::floor(config.alpha);
  const nlohmann::json json = {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", base_model.empty() ? nlohmann::json() : nlohmann::json(base_model)},
      {"r", config.r},
      {"lora_alpha",
       whole ? nlohmann::json(static_cast<std::int64_t>(config.alpha)) : nlohmann::json(config.alpha)},
      {"lora_dropout", config.dropout},
      {"use_rslora", config.use_rslora},
      {"target_modules", config.target_modules},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"modules_to_save", nullptr},
      {"use_dora", false}};
  write_file(directory / config_file, json.dump(2) + "\n");
}

}  // namespace ziptie
