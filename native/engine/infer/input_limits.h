#pragma once
#include <cstdint>
#include <span>

#include "engine/model/config.h"

namespace ziptie {

/// Tokens that a text of this model can have: its positions, or the sliding window where that is shorter.
std::int64_t longest_text(const LlamaConfig& config);

/// @throws std::invalid_argument when `ids`, which messages call `name`, are none or one is not in the
/// model's
///         vocabulary
void check_ids(const LlamaConfig& config, std::span<const std::uint32_t> ids, const char* name);

}  // namespace ziptie
