#include "engine/io/hf_model.h"

#include <fmt/core.h>

#include <map>
#include <set>

#include "engine/io/durable_file.h"
#include "engine/io/hf_config.h"
#include "engine/io/json_object.h"
#include "engine/io/tensor_transfer.h"

namespace ziptie {
namespace {

constexpr const char* single_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";

/// Where each tensor lies according to the index of a sharded model.
std::map<std::string, std::string> read_index(const std::filesystem::path& path) {
  const auto text = read_json(path);
  JsonObject index(text, path.string());
  JsonObject weight_map = index.object("weight_map");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : weight_map.json().items()) {
    const std::string name = weight_map.string(tensor);
    // A file beside the index, never one elsewhere.
    if (name.empty() || std::filesystem::path(name).filename() != name) {
      weight_map.refuse(tensor, fmt::format("'{}' is not the name of a file beside the index", name));
    }
    files.emplace(tensor, name);
  }
  return files;
}

/// Old checkpoints hold tables that are computed now, and tied ones sometimes hold the head, too.
bool is_redundant(const std::string& name, const LlamaConfig& config) {
  return name.ends_with("rotary_emb.inv_freq") || (config.tie_word_embeddings && name == "lm_head.weight");
}

}  // namespace

struct HfModel::State {
  std::filesystem::path directory;
  LlamaConfig config;
  std::map<std::string, SafetensorsFile> files;
  std::map<std::string, const SafetensorsFile*> weights;  ///< by tensor name

  void open();
  void check() const;
};

void HfModel::State::open() {
  if (std::filesystem::exists(directory / single_file)) {
    const auto& file = files.emplace(single_file, SafetensorsFile(directory / single_file)).first->second;
    for (const auto& [name, tensor] : file.tensors()) weights.emplace(name, &file);
    return;
  }
  if (!std::filesystem::exists(directory / index_file)) {
    throw FileError(
        fmt::format("{}: there is neither {} nor {}", directory.string(), single_file, index_file));
  }
  for (const auto& [tensor, file] : read_index(directory / index_file)) {
    if (!files.contains(file)) files.emplace(file, SafetensorsFile(directory / file));
    const auto& opened = files.at(file);
    (void)opened.at(tensor);  // refuses an index that promises what the shard does not hold
    weights.emplace(tensor, &opened);
  }
}

void HfModel::State::check() const {
  std::set<std::string> expected;
  for (const WeightShape& weight : weight_shapes(config)) {
    expected.insert(weight.name);
    const auto found = weights.find(weight.name);
    if (found == weights.end()) {
      throw FileError(fmt::format("{}: there is no tensor '{}', which config.json calls for",
                                  directory.string(), weight.name));
    }
    check_tensor(found->second->path(), found->second->at(weight.name), weight.shape);
  }
  for (const auto& [name, file] : weights) {
    if (!expected.contains(name) && !is_redundant(name, config)) {
      throw FileError(fmt::format("{}: tensor '{}' has no place in the model that config.json describes",
                                  file->path().string(), name));
    }
  }
}

HfModel::HfModel(std::filesystem::path directory) : state_(std::make_unique<State>()) {
  state_->directory = std::move(directory);
  state_->config = read_hf_config(state_->directory);
  state_->open();
  state_->check();
}

HfModel::~HfModel() = default;
HfModel::HfModel(HfModel&&) noexcept = default;

const LlamaConfig& HfModel::config() const { return state_->config; }

void HfModel::load_into(Llama& model) const {
  std::map<std::string, const Parameter*> parameters;
  for (const Parameter& parameter : model.parameters()) parameters.emplace(parameter.name, &parameter);
  for (const WeightShape& weight : weight_shapes(state_->config)) {
    const SafetensorsFile& file = *state_->weights.at(weight.name);
    load_tensor(file.path(), file.at(weight.name), parameters.at(weight.name)->value, model.backend());
  }
}

void copy_files(std::span<const std::filesystem::path> files, const std::filesystem::path& directory) {
  for (const auto& file : files) copy_file_durably(file, directory / file.filename());
}

void write_hf_model(const std::filesystem::path& directory, Llama& model, const std::filesystem::path& origin,
                    std::span<const std::filesystem::path> tokenizer_files) {
  const LlamaConfig& config = model.config();
  auto json = hf_config_json(config);
  if (!origin.empty()) {
    // Whatever else the origin says of its model stays true of it.
    auto original = read_json(origin / "config.json");
    original.erase("dtype");
    original["torch_dtype"] = "float32";
    json = std::move(original);
  }
  write_file(directory / "config.json", json.dump(2) + "\n");

  if (!origin.empty() && std::filesystem::exists(origin / "generation_config.json")) {
    copy_file_durably(origin / "generation_config.json", directory / "generation_config.json");
  } else {
    nlohmann::json generation = {{"_from_model_config", true}};
    if (config.bos_token_id) generation["bos_token_id"] = *config.bos_token_id;
    if (config.eos_token_id) generation["eos_token_id"] = *config.eos_token_id;
    write_file(directory / "generation_config.json", generation.dump(2) + "\n");
  }

  std::set<std::string> base;
  for (const WeightShape& weight : weight_shapes(config)) base.insert(weight.name);
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : model.parameters()) {
    if (base.contains(parameter.name)) tensors.push_back({parameter.name, parameter.value});
  }
  save_tensors(directory / single_file, tensors, {{"format", "pt"}}, model.backend());
  copy_files(tokenizer_files, directory);
}

}  // namespace ziptie
