#include "engine/io/peft_adapter.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <set>

#include "engine/io/durable_file.h"
#include "engine/io/json_object.h"
#include "engine/io/tensor_transfer.h"
#include "engine/model/modules.h"

namespace ziptie {
namespace {

constexpr const char* weights_file = "adapter_model.safetensors";
constexpr const char* config_file = "adapter_config.json";

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

/// The matrix [rows, columns] in row-major order, turned over.
std::vector<float> transposed(std::span<const float> matrix, std::int64_t rows, std::int64_t columns) {
  std::vector<float> turned(matrix.size());
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t column = 0; column < columns; ++column)
      turned[column * rows + row] = matrix[row * columns + column];
  return turned;
}

std::vector<std::int64_t> file_shape(const Parameter& parameter, bool transposed) {
  const auto& shape = parameter.value.shape;
  if (transposed) return {shape[1], shape[0]};
  return {shape.begin(), shape.begin() + parameter.value.rank};
}

/// A tensor of the adapter's file, in the order of the parameter that it belongs to.
std::vector<float> read_values(const SafetensorsFile& file, const AdapterTensor& tensor,
                               const Parameter& parameter) {
  const TensorInfo& info = file.at(tensor.name);
  const auto shape = file_shape(parameter, tensor.transposed);
  check_tensor(file.path(), info, shape);
  std::vector<float> values(static_cast<std::size_t>(parameter.value.elements()));
  if (const std::int64_t at = widen(info.bytes, info.dtype, values); at >= 0) {
    throw FileError(fmt::format("{}: tensor '{}' holds {} at element {}; the adapter is damaged",
                                file.path().string(), tensor.name, values[static_cast<std::size_t>(at)], at));
  }
  return tensor.transposed ? transposed(values, shape[0], shape[1]) : values;
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

/// The base weight below an adapted embedding or head, which PEFT saves beside the adapter.
std::vector<AdapterTensor> base_layers(const Parameter& parameter, const LlamaConfig& config) {
  if (!parameter.in_base() || parameter.group != ParameterGroup::embedding) return {};
  const std::string module = parameter.name.substr(0, parameter.name.rfind('.'));
  std::vector<AdapterTensor> tensors{{adapter_prefix + module + ".base_layer.weight"}};
  if (config.tie_word_embeddings)
    tensors.push_back({adapter_prefix + std::string(head_module) + ".base_layer.weight"});
  return tensors;
}

/// Reads those of `tensors` that are in the file, which are one and the same, into `parameter`.
void load_one(const SafetensorsFile& file, std::span<const AdapterTensor> tensors, const Parameter& parameter,
              Backend& backend) {
  std::vector<float> values;
  for (const AdapterTensor& tensor : tensors) {
    auto read = read_values(file, tensor, parameter);
    if (!values.empty() && values != read) {
      throw FileError(fmt::format("{}: tensors '{}' and '{}' are one in this tied model, but they differ",
                                  file.path().string(), tensors[0].name, tensor.name));
    }
    values = std::move(read);
  }
  if (!values.empty()) write_parameter(parameter, values, backend);
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
  config.alpha = json.number("lora_alpha");
  config.dropout = json.has_value("lora_dropout") ? json.number("lora_dropout") : 0;
  config.use_rslora = json.has_value("use_rslora") && json.boolean("use_rslora");
  config.target_modules = read_target_modules(json);
  if (json.has_value("modules_to_save")) config.modules_to_save = json.strings("modules_to_save");
  config.ensure_weight_tying = json.has_value("ensure_weight_tying") && json.boolean("ensure_weight_tying");
  return config;
}

void load_adapter(const std::filesystem::path& directory, Llama& model) {
  const SafetensorsFile file(directory / weights_file);
  std::set<std::string> expected;
  for (const Parameter& parameter : model.parameters()) {
    load_one(file, parameter.adapter_tensors, parameter, model.backend());
    auto below = base_layers(parameter, model.config());
    std::erase_if(below, [&](const AdapterTensor& tensor) { return !file.tensors().contains(tensor.name); });
    load_one(file, below, parameter, model.backend());
    for (const auto& tensors : {parameter.adapter_tensors, below})
      for (const AdapterTensor& tensor : tensors) expected.insert(tensor.name);
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
  struct Source {
    const Parameter* parameter;
    bool transposed;
  };
  std::vector<TensorLayout> layouts;
  std::vector<Source> sources;
  for (const Parameter& parameter : model.parameters()) {
    for (const AdapterTensor& tensor : parameter.adapter_tensors) {
      layouts.push_back({tensor.name, DType::f32, file_shape(parameter, tensor.transposed)});
      sources.push_back({&parameter, tensor.transposed});
    }
  }
  write_safetensors(directory / weights_file, layouts, {{"format", "pt"}},
                    [&](std::size_t i, std::span<std::byte> bytes) {
                      const auto& [parameter, turn] = sources[i];
                      auto values = read_parameter(*parameter, model.backend());
                      if (turn)
                        values = transposed(values, parameter->value.shape[0], parameter->value.shape[1]);
                      std::memcpy(bytes.data(), values.data(), bytes.size());
                    });
  const auto json = adapter_config_json(model.config(), config, base_model);
  write_file(directory / config_file, json.dump(2) + "\n");
}

}  // namespace ziptie
