#include "engine/io/hf_model_writer.h"

#include <fmt/core.h>

#include <cstring>

#include "engine/io/durable_file.h"
#include "engine/io/hf_config.h"
#include "engine/io/json_object.h"
#include "engine/io/weight_files.h"

namespace ziptie {
namespace {

std::uint64_t bytes_of(const TensorLayout& tensor) {
  std::uint64_t bytes = size_of(tensor.dtype);
  for (const std::int64_t length : tensor.shape) bytes *= static_cast<std::uint64_t>(length);
  return bytes;
}

/// Tensors [begin, end) of each shard.
std::vector<std::pair<std::size_t, std::size_t>> divide(std::span<const TensorLayout> tensors,
                                                        std::uint64_t shard_bytes) {
  std::vector<std::pair<std::size_t, std::size_t>> shards;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t more = bytes_of(tensors[i]);
    if (shards.empty() || bytes + more > shard_bytes) {
      shards.emplace_back(i, i);
      bytes = 0;
    }
    bytes += more;
    shards.back().second = i + 1;
  }
  return shards;
}

void write_weights(const std::filesystem::path& directory, const HfContents& contents,
                   std::uint64_t shard_bytes) {
  const auto shards = divide(contents.tensors, shard_bytes);
  nlohmann::ordered_json index = {{"metadata", {{"total_size", 0}}},
                                  {"weight_map", nlohmann::json::object()}};
  std::uint64_t total = 0;
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    const auto [begin, end] = shards[shard];
    const std::string name = shards.size() == 1
                                 ? single_weights_file
                                 : fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards.size());
    write_safetensors(
        directory / name, std::span(contents.tensors).subspan(begin, end - begin), {{"format", "pt"}},
        [&, first = begin](std::size_t i, std::span<std::byte> bytes) { contents.fetch(first + i, bytes); });
    for (std::size_t i = begin; i < end; ++i) {
      index["weight_map"][contents.tensors[i].name] = name;
      total += bytes_of(contents.tensors[i]);
    }
  }
  if (shards.size() <= 1) return;
  index["metadata"]["total_size"] = total;
  write_file(directory / weights_index_file, index.dump(2) + "\n");
}

nlohmann::json generation_config(const nlohmann::json& config) {
  nlohmann::json generation = {{"_from_model_config", true}};
  for (const char* key : {"bos_token_id", "eos_token_id"}) {
    if (config.contains(key) && !config[key].is_null()) generation[key] = config[key];
  }
  return generation;
}

const char* torch_name(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return "bfloat16";
    case DType::f16:
      return "float16";
    default:
      return "float32";
  }
}

}  // namespace

void copy_files(std::span<const std::filesystem::path> files, const std::filesystem::path& directory) {
  for (const auto& file : files) copy_file_durably(file, directory / file.filename());
}

void write_hf_model(const std::filesystem::path& directory, const HfContents& contents,
                    std::uint64_t shard_bytes) {
  write_file(directory / "config.json", contents.config.dump(2) + "\n");
  const auto generation = contents.origin / "generation_config.json";
  if (!contents.origin.empty() && std::filesystem::exists(generation)) {
    copy_file_durably(generation, directory / "generation_config.json");
  } else {
    write_file(directory / "generation_config.json", generation_config(contents.config).dump(2) + "\n");
  }
  write_weights(directory, contents, shard_bytes);
  copy_files(contents.tokenizer_files, directory);
}

nlohmann::json continued_config(const std::filesystem::path& origin, const LlamaConfig& config, DType dtype) {
  // Whatever else the origin says of its model stays true of it.
  auto json = read_json(origin / "config.json");
  json.erase("dtype");
  json.erase("quantization_config");
  json["torch_dtype"] = torch_name(dtype);
  json["vocab_size"] = config.vocab_size;
  json["tie_word_embeddings"] = config.tie_word_embeddings;
  return json;
}

void write_hf_model(const std::filesystem::path& directory, Llama& model, const std::filesystem::path& origin,
                    std::span<const std::filesystem::path> tokenizer_files,
                    const InterruptionPoint& interruption) {
  HfContents contents;
  contents.config =
      origin.empty() ? hf_config_json(model.config()) : continued_config(origin, model.config(), DType::f32);
  contents.origin = origin;
  contents.tokenizer_files.assign(tokenizer_files.begin(), tokenizer_files.end());
  std::vector<const Parameter*> written;
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.in_base()) continue;
    written.push_back(&parameter);
    const auto& shape = parameter.value.shape;
    contents.tensors.push_back(
        {parameter.name, DType::f32, {shape.begin(), shape.begin() + parameter.value.rank}});
  }
  contents.fetch = [&](std::size_t i, std::span<std::byte> bytes) {
    pass(interruption);
    const std::vector<float> values = read_parameter(*written[i], model.backend());
    std::memcpy(bytes.data(), values.data(), bytes.size());
  };
  write_hf_model(directory, contents);
}

}  // namespace ziptie
