#pragma once
// LoRA adapters as PEFT directories: adapter_config.json and adapter_model.safetensors.

#include <filesystem>
#include <string>

#include "engine/io/adapter_config.h"
#include "engine/model/llama.h"

namespace ziptie {

/// Reads the tensors of `directory` into `model`, which has an adapter of that configuration: LoRA, saved
/// modules, and the base weights that PEFT writes below an adapted embedding or head.
/// @throws FileError naming the tensor: missing, left over, of another shape, not finite; in a tied model
///         different at its two ends
void load_adapter(const std::filesystem::path& directory, Llama& model);

/// Writes what is trained of `model` into the existing directory `directory`, a tied adapter at both ends, as
/// PEFT does; `base_model` is what PEFT is told
/// to apply it to, a path or empty. @throws FileError
void write_adapter(const std::filesystem::path& directory, Llama& model, const AdapterConfig& config,
                   const std::string& base_model);

/// PEFT's tensor names begin with it.
inline constexpr const char* adapter_prefix = "base_model.model.";

}  // namespace ziptie
