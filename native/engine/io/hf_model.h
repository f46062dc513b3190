#pragma once
// Models as Hugging Face directories: config.json and model.safetensors, or shards of it with an index.

#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "engine/io/interruption.h"
#include "engine/io/vocabulary_growth.h"
#include "engine/model/llama.h"

namespace ziptie {

/// The weights of an HF directory, opened and checked against its configuration; nothing has been read yet.
/// They may be float32, float16, bfloat16 or float64, or quantised to NF4 by bitsandbytes, and may be given
/// more tokens than they have: then this is the grown model.
class HfModel {
 public:
  /// @throws FileError naming the file and the tensor: missing, left over, of another shape or type; what
  /// NewRows throws
  explicit HfModel(std::filesystem::path directory,
                   const std::optional<VocabularyGrowth>& growth = std::nullopt);
  ~HfModel();
  HfModel(HfModel&&) noexcept;

  const std::filesystem::path& directory() const;
  const LlamaConfig& config() const;
  /// The type that the weights have in their files; of quantised ones, the type of those that are not.
  DType stored_dtype() const;

  /// How a model for inference holds these weights exactly in the least memory: linear layers of the decoder
  /// in NF4 where all of them are stored so, the other matrices in bfloat16 where all of them are.
  ModelOptions options_to_run() const;

  /// Reads every base weight into `model`, one at a time, in the form that the model holds it in. Codes of 4
  /// bits are taken as they are where the model holds the same, and dequantised otherwise.
  /// @throws FileError naming a tensor that holds NaN or infinity
  void load_into(Llama& model, const InterruptionPoint& interruption = {}) const;
  /// The values of the weight `name`, row-major. New rows of a grown vocabulary are rounded to the type of
  /// the old ones, so that a file of that type holds them exactly.
  /// @throws FileError naming a tensor that holds NaN or infinity
  std::vector<float> read(const std::string& name, Backend& backend) const;

  /// Writes this model as the HF directory `directory`, aside first: every tensor as it is stored, quantised
  /// or not, and the embedding and head with their new rows. @throws FileError; what `interruption` throws
  void write(const std::filesystem::path& directory, std::span<const std::filesystem::path> tokenizer_files,
             Backend& backend, const InterruptionPoint& interruption = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ziptie
