#include "engine/io/weight_files.h"

#include <fmt/core.h>

#include "engine/io/json_object.h"

namespace ziptie {
namespace {

/// The shard of each tensor.
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

}  // namespace

WeightFiles::WeightFiles(const std::filesystem::path& directory) {
  if (std::filesystem::exists(directory / single_weights_file)) {
    const auto& file =
        files_.emplace(single_weights_file, SafetensorsFile(directory / single_weights_file)).first->second;
    for (const auto& [name, tensor] : file.tensors()) tensors_.emplace(name, StoredTensor{&file, &tensor});
    return;
  }
  if (!std::filesystem::exists(directory / weights_index_file)) {
    throw FileError(fmt::format("{}: there is neither {} nor {}", directory.string(), single_weights_file,
                                weights_index_file));
  }
  for (const auto& [tensor, name] : read_index(directory / weights_index_file)) {
    if (!files_.contains(name)) files_.emplace(name, SafetensorsFile(directory / name));
    const auto& file = files_.at(name);
    // Refuses an index that promises what the shard does not hold.
    tensors_.emplace(tensor, StoredTensor{&file, &file.at(tensor)});
  }
}

const StoredTensor* WeightFiles::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace ziptie
