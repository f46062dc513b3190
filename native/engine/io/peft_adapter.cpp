#include "engine/io/peft_adapter.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/io/durable_file.h"
#include "engine/io/tensor_transfer.h"
#include "engine/model/modules.h"

namespace ziptie {
namespace {

constexpr const char* weights_file = "adapter_model.safetensors";

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
  std::vector<float> values(static_cast<std::size_t>(parameter.elements()));
  if (const std::int64_t at = widen(info.bytes, info.dtype, values); at >= 0) {
    throw FileError(fmt::format("{}: tensor '{}' holds {} at element {}; the adapter is damaged",
                                file.path().string(), tensor.name, values[static_cast<std::size_t>(at)], at));
  }
  return tensor.transposed ? transposed(values, shape[0], shape[1]) : values;
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
  write_file(directory / adapter_config_file, json.dump(2) + "\n");
}

}  // namespace ziptie
