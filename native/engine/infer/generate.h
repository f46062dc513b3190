#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/model/llama.h"

namespace ziptie {

/// The most likely continuation of `prompt_ids`, token by token: at most `max_new_tokens`, ended by one of
/// `stop_ids` (which is not part of the result) or by `on_token` returning false. Ties go to the lower id.
/// @throws std::invalid_argument when the prompt is empty, holds an id the model lacks, or does not leave
/// room for a token
///         within `max_position_embeddings`
std::vector<std::uint32_t> generate_greedy(Llama& model, std::span<const std::uint32_t> prompt_ids,
                                           std::int64_t max_new_tokens,
                                           std::span<const std::uint32_t> stop_ids,
                                           const std::function<bool(std::uint32_t)>& on_token = {});

}  // namespace ziptie
