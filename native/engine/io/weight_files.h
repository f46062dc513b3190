#pragma once
// The safetensors files of an HF directory, one or many, seen as one set of tensors.

#include <filesystem>
#include <map>
#include <string>

#include "engine/io/safetensors.h"

namespace ziptie {

struct StoredTensor {
  const SafetensorsFile* file;
  const TensorInfo* info;
};

class WeightFiles {
 public:
  /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names.
  /// @throws FileError naming the file and the tensor, e.g. when a shard is missing
  explicit WeightFiles(const std::filesystem::path& directory);
  WeightFiles(WeightFiles&&) noexcept = default;

  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  /// Null when there is none of that name.
  const StoredTensor* find(const std::string& name) const;

 private:
  std::map<std::string, SafetensorsFile> files_;  ///< by file name; nodes, so that moving keeps addresses
  std::map<std::string, StoredTensor> tensors_;
};

/// Names that HF gives to the weights of a model.
inline constexpr const char* single_weights_file = "model.safetensors";
inline constexpr const char* weights_index_file = "model.safetensors.index.json";

}  // namespace ziptie
