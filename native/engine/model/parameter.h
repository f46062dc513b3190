#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/backend.h"

namespace ziptie {

/// Parameters that may have a learning rate of their own.
enum class ParameterGroup : std::uint8_t {
  other,
  embedding  ///< embed_tokens and lm_head: the weights themselves and their adapters
};

/// A tensor of a PEFT adapter's file.
struct AdapterTensor {
  std::string name;         ///< `base_model.model.…`
  bool transposed = false;  ///< the file holds the transpose of `Parameter::value`
};

/// A named weight.
struct Parameter {
  /// HF's tensor name for what a base model has; PEFT's (`base_model.model.…lora_A.weight`) for LoRA.
  std::string name;
  /// On the device. Trained ones are f32; frozen ones f32, bf16, or, where `quantized`, without data.
  Tensor value;
  std::optional<Nf4> quantized;    ///< of the frozen weight; `first_output` is 0
  std::optional<Tensor> gradient;  ///< f32, same shape; absent when frozen
  bool decays = true;              ///< false for norms and biases
  ParameterGroup group = ParameterGroup::other;
  /// Where an adapter's file holds it: a tied pair twice, frozen weights nowhere.
  std::vector<AdapterTensor> adapter_tensors;

  /// Of its shape, whether there is data or not.
  std::int64_t elements() const;
  /// Whether it is one of the base model's tensors; those that are in an adapter's file as well are
  /// `modules_to_save`.
  bool in_base() const { return !name.starts_with("base_model."); }
};

/// Puts `values`, row-major in the shape of `parameter.value`, into it, rounded or quantised as it is held.
void write_parameter(const Parameter& parameter, std::span<const float> values, Backend& backend);
/// The values of `parameter` however it is held, row-major.
std::vector<float> read_parameter(const Parameter& parameter, Backend& backend);

}  // namespace ziptie
