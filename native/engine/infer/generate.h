#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/infer/token_sampler.h"
#include "engine/model/llama.h"

namespace ziptie {

struct GenerationSettings {
  std::int64_t max_new_tokens = 128;
  std::vector<std::uint32_t> stop_ids = {};  ///< end a text, and are not part of it
  Sampling sampling = {};
  std::int64_t batch_size = 8;  ///< texts at a time; when one ends, the next prompt takes its place
};

enum class Finish {
  stop,        ///< at a stop id
  length,      ///< as long as it may be
  interrupted  ///< the caller wanted no more
};
std::string_view finish_name(Finish finish);

struct GenerationEvents {
  /// A token of prompt `prompt`, as soon as it is chosen.
  std::function<void(std::size_t prompt, std::uint32_t id)> token = {};
  /// The whole answer to prompt `prompt`.
  std::function<void(std::size_t prompt, std::span<const std::uint32_t> ids, Finish finish)> finished = {};
  /// Asked before and within every step; on true, the answers begun are handed over as they are, and no other
  /// is begun.
  std::function<bool()> stop = {};
};

/// @throws std::invalid_argument when the prompt is empty, holds an id the model lacks, or does not leave
/// room
///         for a token within `max_position_embeddings` or the sliding window
void check_prompt(const LlamaConfig& config, std::span<const std::uint32_t> prompt);

/// Continues every prompt. The same prompts and settings give the same answers, whatever the number of
/// threads. What is drawn for a token depends on the seed, the prompt's index and the position alone; what
/// else is in the batch changes the rounding of logits, so that another batch size may turn a draw, or a
/// choice between two tokens, that is closer than float32's rounding.
/// @throws std::invalid_argument for prompts that `check_prompt` refuses and settings that cannot be;
///         std::runtime_error when the KV cache does not fit into memory, or logits are not numbers
void generate(Llama& model, std::span<const std::vector<std::uint32_t>> prompts,
              const GenerationSettings& settings, const GenerationEvents& events);

}  // namespace ziptie
