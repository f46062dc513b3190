#pragma once
// Models as Hugging Face directories: config.json and model.safetensors, or shards of it with an index.

#include <filesystem>
#include <span>

#include "engine/model/llama.h"

namespace ziptie {

/// The weights of an HF directory, opened and checked against its configuration; nothing has been read yet.
class HfModel {
 public:
  /// @throws FileError naming the file and the tensor: missing, left over, of another shape or type
  explicit HfModel(std::filesystem::path directory);
  ~HfModel();
  HfModel(HfModel&&) noexcept;

  const LlamaConfig& config() const;
  /// Reads every base weight into `model`, float16 and bfloat16 widened to float32.
  /// @throws FileError naming a tensor that holds NaN or infinity
  void load_into(Llama& model) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes the base weights of `model` and what transformers needs to load them into the existing directory
/// `directory`. `origin`: the HF directory that the weights came from, whose settings are kept; empty: there
/// is none. `tokenizer_files` are copied beside. @throws FileError
void write_hf_model(const std::filesystem::path& directory, Llama& model, const std::filesystem::path& origin,
                    std::span<const std::filesystem::path> tokenizer_files);

/// Copies every file into `directory` under its own name. @throws FileError
void copy_files(std::span<const std::filesystem::path> files, const std::filesystem::path& directory);

}  // namespace ziptie
