#include "engine/infer/input_limits.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace ziptie {

std::int64_t longest_text(const LlamaConfig& config) {
  return std::min(config.max_position_embeddings,
                  config.sliding_window.value_or(config.max_position_embeddings));
}

void check_ids(const LlamaConfig& config, std::span<const std::uint32_t> ids, const char* name) {
  if (ids.empty()) throw std::invalid_argument(std::string(name) + " is empty");
  const auto unknown = std::ranges::find_if(ids, [&](std::uint32_t id) { return id >= config.vocab_size; });
  if (unknown != ids.end())
    throw std::invalid_argument(std::string(name) + "[" + std::to_string(unknown - ids.begin()) + "] is " +
                                std::to_string(*unknown) + ", the model's vocabulary has " +
                                std::to_string(config.vocab_size) + " tokens");
}

}  // namespace ziptie
