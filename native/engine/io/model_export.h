#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "engine/backend/backend.h"

namespace ziptie {

struct ModelExport {
  std::filesystem::path model;    ///< HF directory
  std::filesystem::path adapter;  ///< PEFT directory
  std::filesystem::path output;   ///< does not exist yet
  std::optional<DType> dtype;     ///< of the weights written: f32, bf16, f16; none: as the model's are stored
  /// Called before each tensor and after the last; what it throws ends the export, and nothing is left of it.
  std::function<void(std::size_t done, std::size_t total)> progress = [](std::size_t, std::size_t) {};
};

/// Merges an adapter into its model and writes the whole as an HF directory that transformers loads, with the
/// tokenizer files of the adapter and, of the model's, those that it lacks; when it has a vocabulary of its
/// own, at most the chat template. A quantised model is dequantised first. One weight is in memory at a time.
/// @throws FileError, e.g. when the output exists or a number is too large for the type
void export_model(const ModelExport& request, Backend& backend);

}  // namespace ziptie
