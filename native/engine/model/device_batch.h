#pragma once
#include <vector>

#include "engine/model/arena.h"
#include "engine/model/llama.h"

namespace ziptie {

/// A batch on the device, with what follows from it.
struct DeviceBatch {
  Tensor input_ids, positions;  ///< u32 [tokens]
  Sequences sequences;
  Tensor supervised_rows;  ///< u32 [supervised]: rows whose next token carries loss
  Tensor targets;          ///< u32 [supervised]: those next tokens

  std::int64_t tokens() const { return input_ids.shape[0]; }
  std::int64_t supervised() const { return targets.shape[0]; }
};

/// Checks `batch` and copies it to memory from `arena`.
/// @throws std::invalid_argument saying what of the batch cannot be
DeviceBatch put_on_device(const Batch& batch, const LlamaConfig& config, Backend& backend, Arena& arena);

/// @throws std::invalid_argument when a sequence of `tokens` reaches beyond the model's sliding window
void check_length(std::int64_t tokens, const LlamaConfig& config);

/// `values` as a u32 tensor in memory from `arena`.
Tensor put_on_device(std::span<const std::uint32_t> values, Backend& backend, Arena& arena);

}  // namespace ziptie
