#pragma once
// The model that a command is given: an HF directory, perhaps with an adapter on it, or a run.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "engine/train/model_setup.h"

namespace ziptie {

struct ModelArgument {
  std::filesystem::path directory;  ///< HF; empty when a run is named
  std::filesystem::path adapter;    ///< PEFT directory on it; empty: none
  std::filesystem::path run;        ///< run directory, for its newest checkpoint
};

/// A model that was named and can be loaded, its weights not read yet.
class NamedModel {
 public:
  /// @throws FileError
  explicit NamedModel(ModelArgument argument);

  const LlamaConfig& config() const { return config_; }
  /// The ids that end a text. @throws FileError
  std::vector<std::uint32_t> stop_ids() const;
  /// Nothing when `stop` came true meanwhile. @throws FileError, RunError
  std::optional<Llama> load(Backend& backend, const std::function<bool()>& stop) const;

 private:
  ModelArgument argument_;
  std::optional<Plan> plan_;           ///< of the run
  std::optional<ModelSource> source_;  ///< of the plan
  LlamaConfig config_;
};

}  // namespace ziptie
