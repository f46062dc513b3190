#pragma once
// Weights that bitsandbytes quantised to 4 bits before transformers saved them (`QuantState.as_dict`): beside
// the codes, `NAME.absmax`, `NAME.quant_map`, `NAME.quant_state.bitsandbytes__nf4` and, with double
// quantisation, `NAME.nested_absmax` and `NAME.nested_quant_map`.

#include <optional>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/io/interruption.h"
#include "engine/io/json_object.h"
#include "engine/io/weight_files.h"

namespace ziptie {

/// Where it lies in the files.
struct BitsandbytesWeight {
  std::string name;
  std::vector<std::int64_t> shape;
  StoredTensor codes, absmax;
  std::optional<StoredTensor> nested_absmax;  ///< with double quantisation
  float nested_offset = 0;

  bool double_quant() const { return nested_absmax.has_value(); }
};

/// Refuses quantisation other than bitsandbytes' in NF4. `quantization_config` is config.json's.
/// @throws FileError
void check_quantization_config(JsonObject quantization_config);

/// The weight `name` of `files`; none when it is not quantised.
/// @throws FileError naming the file and the tensor: another type than NF4, other blocks than 64 and 256,
/// other tables of codes, tensors that are missing or do not fit
std::optional<BitsandbytesWeight> find_bitsandbytes_weight(const WeightFiles& files, const std::string& name);

/// The names of what lies beside the codes of the weight `name`.
std::vector<std::string> bitsandbytes_companions(const BitsandbytesWeight& weight);

/// Puts the weight as it is, to the bit, into the tensors of `to`, which are doubly quantised if it is.
/// @throws FileError when a scale is not finite
void load_bitsandbytes(const BitsandbytesWeight& weight, const Nf4& to, Backend& backend,
                       const InterruptionPoint& interruption = {});

/// The values, row-major. @throws FileError when a scale is not finite
std::vector<float> dequantize_bitsandbytes(const BitsandbytesWeight& weight, Backend& backend,
                                           const InterruptionPoint& interruption = {});

}  // namespace ziptie
