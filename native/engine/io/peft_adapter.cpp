#include "engine/io/peft_adapter.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "engine/io/durable_file.h"
#include "engine/io/tensor_transfer.h"
#include "engine/model/modules.h"

namespace ziptie {
namespace {

constexpr const char* base_layer_suffix = ".base_layer.weight";

/// The base weight below an adapted embedding or head, which PEFT saves beside the adapter.
std::vector<AdapterTensor> base_layers(const Parameter& parameter, const LlamaConfig& config) {
  if (!parameter.in_base() || parameter.group != ParameterGroup::embedding) return {};
  const std::string module = parameter.name.substr(0, parameter.name.rfind('.'));
  std::vector<AdapterTensor> tensors{{adapter_prefix + module + base_layer_suffix}};
  if (config.tie_word_embeddings)
    tensors.push_back({adapter_prefix + std::string(head_module) + base_layer_suffix});
  return tensors;
}

/// Where the adapter's file holds `parameter`.
std::vector<NamedTensor> in_file(std::span<const AdapterTensor> tensors, const Parameter& parameter) {
  std::vector<NamedTensor> named;
  for (const AdapterTensor& tensor : tensors)
    named.push_back({tensor.name, parameter.value, tensor.transposed});
  return named;
}

}  // namespace

std::vector<NamedTensor> adapter_tensors(Llama& model) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : model.parameters()) {
    for (NamedTensor& tensor : in_file(parameter.adapter_tensors, parameter))
      tensors.push_back(std::move(tensor));
  }
  return tensors;
}

bool has_wide_base_layers(const std::filesystem::path& directory) {
  const SafetensorsFile file(directory / adapter_weights_file);
  return std::ranges::any_of(file.tensors(), [](const auto& entry) {
    return entry.first.ends_with(base_layer_suffix) && entry.second.dtype != DType::bf16;
  });
}

AdapterFile::AdapterFile(const std::filesystem::path& directory, Llama& model)
    : file_(directory / adapter_weights_file), model_(model) {
  std::set<std::string> expected;
  for (const Parameter& parameter : model.parameters()) {
    auto below = base_layers(parameter, model.config());
    std::erase_if(below, [&](const AdapterTensor& tensor) { return !file_.tensors().contains(tensor.name); });
    for (const auto& held : {parameter.adapter_tensors, below}) {
      if (!held.empty()) held_.push_back({parameter, in_file(held, parameter)});
    }
  }
  for (const Held& held : held_) {
    for (const NamedTensor& tensor : held.tensors) {
      check_tensor(file_.path(), file_.at(tensor.name), tensor.file_shape());
      expected.insert(tensor.name);
    }
  }
  for (const auto& [name, tensor] : file_.tensors()) {
    if (!expected.contains(name)) {
      throw FileError(fmt::format("{}: tensor '{}' has no place in the model with this adapter",
                                  file_.path().string(), name));
    }
  }
}

void AdapterFile::load(const InterruptionPoint& interruption) const {
  for (const Held& held : held_) {
    const auto values = read_shared_tensor(file_, held.tensors, interruption);
    write_parameter(held.parameter, values, model_.backend());
  }
}

void write_adapter(const std::filesystem::path& directory, Llama& model, const AdapterConfig& config,
                   const std::string& base_model) {
  save_tensors(directory / adapter_weights_file, adapter_tensors(model), {{"format", "pt"}}, model.backend());
  write_file(directory / adapter_config_file,
             adapter_config_json(model.config(), config, base_model).dump(2) + "\n");
}

}  // namespace ziptie
