#pragma once
// Merging a PEFT adapter into the weights that it was trained on.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"
#include "engine/model/llama.h"

namespace ziptie {

/// What an adapter's file does to the weights of a base model. Nothing larger than one weight is in memory.
class AdapterMerge {
 public:
  /// @throws FileError naming the key or the tensor: not supported, missing, left over, of another shape
  AdapterMerge(const std::filesystem::path& directory, const LlamaConfig& base);
  ~AdapterMerge();

  /// Whether a tied base stays tied: not where the adapter makes its two ends differ. PEFT's own
  /// `merge_and_unload` then adds both changes to the one table.
  bool tied() const;
  /// The configuration of the merged model.
  LlamaConfig config() const;

  /// `values` of the base weight `name` become W + scale · B A, in float32, or what the adapter saved in its
  /// place. For a head that is untied, `values` are the embedding's.
  void apply(const std::string& name, std::vector<float>& values, Backend& backend) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ziptie
