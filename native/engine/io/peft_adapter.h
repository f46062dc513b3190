#pragma once
// LoRA adapters as PEFT directories: adapter_config.json and adapter_model.safetensors.

#include <filesystem>
#include <string>
#include <vector>

#include "engine/io/adapter_config.h"
#include "engine/io/interruption.h"
#include "engine/io/tensor_transfer.h"
#include "engine/model/llama.h"

namespace ziptie {

inline constexpr const char* adapter_weights_file = "adapter_model.safetensors";

/// The weights of an adapter for a model that has an adapter of that configuration: LoRA, saved modules, and
/// the base weights that PEFT writes below an adapted embedding or head.
class AdapterFile {
 public:
  /// Checks what the file's header says, and reads nothing yet.
  /// @throws FileError naming the tensor: missing, left over, of another shape
  AdapterFile(const std::filesystem::path& directory, Llama& model);

  /// Puts the numbers into the model, after those of its base.
  /// @throws FileError naming the tensor: not finite; in a tied model different at its two ends
  void load(const InterruptionPoint& interruption = {}) const;

 private:
  struct Held {
    const Parameter& parameter;
    std::vector<NamedTensor> tensors;  ///< one and the same
  };

  SafetensorsFile file_;
  Llama& model_;
  std::vector<Held> held_;
};

/// Whether an adapter's directory brings base weights, below an adapted embedding or head, that bfloat16
/// would round. @throws FileError
bool has_wide_base_layers(const std::filesystem::path& directory);

/// What is trained of `model`, as PEFT lays it out: a tied adapter at both ends, one after the other, that of
/// an embedding turned over.
std::vector<NamedTensor> adapter_tensors(Llama& model);

/// Writes what is trained of `model` into the existing directory `directory`, a tied adapter at both ends, as
/// PEFT does; `base_model` is what PEFT is told to apply it to, a path or empty. @throws FileError
void write_adapter(const std::filesystem::path& directory, Llama& model, const AdapterConfig& config,
                   const std::string& base_model);

/// PEFT's tensor names begin with it.
inline constexpr const char* adapter_prefix = "base_model.model.";

}  // namespace ziptie
