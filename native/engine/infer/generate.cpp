#include "engine/infer/generate.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace ziptie {

std::vector<std::uint32_t> generate_greedy(Llama& model, std::span<const std::uint32_t> prompt_ids,
                                           std::int64_t max_new_tokens,
                                           std::span<const std::uint32_t> stop_ids,
                                           const std::function<bool(std::uint32_t)>& on_token) {
  const LlamaConfig& config = model.config();
  const auto prompt = static_cast<std::int64_t>(prompt_ids.size());
  if (prompt == 0) throw std::invalid_argument("the prompt is empty");
  if (prompt >= config.max_position_embeddings)
    throw std::invalid_argument("the prompt has " + std::to_string(prompt) + " tokens, the model has " +
                                std::to_string(config.max_position_embeddings) + " positions: none is left");
  // The last token is never run, so it needs no room.
  const std::int64_t limit =
      std::clamp<std::int64_t>(max_new_tokens, 0, config.max_position_embeddings - prompt);
  std::vector<std::uint32_t> generated;
  if (limit == 0) return generated;
  KvCache cache = model.make_cache(prompt + limit - 1);
  std::vector<float> logits = model.decode(prompt_ids, cache);
  while (true) {
    const auto next = static_cast<std::uint32_t>(std::ranges::max_element(logits) - logits.begin());
    if (std::ranges::find(stop_ids, next) != stop_ids.end()) break;
    generated.push_back(next);
    if (on_token && !on_token(next)) break;
    if (static_cast<std::int64_t>(generated.size()) == limit) break;
    logits = model.decode({&next, 1}, cache);
  }
  return generated;
}

}  // namespace ziptie
