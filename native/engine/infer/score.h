#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/model/llama.h"

namespace ziptie {

/// A text whose end is to be judged: how likely is `continuation_ids` after `input_ids`?
struct ScoreRequest {
  std::vector<std::uint32_t> input_ids;
  std::vector<std::uint32_t> continuation_ids;
};

/// lm-evaluation-harness's `loglikelihood`.
struct Score {
  double log_likelihood = 0;  ///< of the whole continuation; natural logarithm, summed over its tokens
  bool is_greedy = true;      ///< whether greedy decoding gives the continuation
  std::int64_t truncated =
      0;  ///< tokens left out at the beginning of a text with more than the model's positions
  std::vector<float> token_log_likelihoods;
};

/// @throws std::invalid_argument when one of the two is empty, holds an id the model lacks, or the
///         continuation alone is longer than the model's positions
void check_request(const LlamaConfig& config, const ScoreRequest& request);

/// Scores every request, `batch_tokens` tokens at a time unless a single one has more; `scored` is called in
/// the order of the requests' lengths, longest first. What else is in the batch changes a score's
/// rounding alone. `stop` is asked before and within every batch; once it says yes, the scores of that batch
/// and those after it are not given.
/// @throws std::invalid_argument as `check_request`
void score(Llama& model, std::span<const ScoreRequest> requests, std::int64_t batch_tokens,
           const std::function<void(std::size_t request, const Score& score)>& scored,
           const std::function<bool()>& stop);

}  // namespace ziptie
