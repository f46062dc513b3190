#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace ziptie {

/// transformers' `GenerationConfig`, the parts that choose a token.
struct Sampling {
  double temperature = 0;  ///< logits are divided by it; 0 is greedy
  std::int64_t top_k = 0;  ///< keep the so many likeliest tokens; 0 keeps all
  double top_p = 1;        ///< keep the likeliest tokens that together reach this probability
  std::uint64_t seed = 0;
};

/// Chooses the next token. What it draws depends on (seed, stream, position) alone.
class TokenSampler {
 public:
  /// @throws std::invalid_argument naming the setting that cannot be
  explicit TokenSampler(const Sampling& sampling);

  /// The token after `position` tokens of the text `stream`. `logits` [vocab_size]; of equal ones the lower
  /// id counts as likelier. Temperature, top-k and top-p in that order, as transformers.
  /// @throws std::runtime_error when a logit is NaN or the highest is not finite
  std::uint32_t choose(std::span<const float> logits, std::uint64_t stream, std::uint64_t position);

 private:
  Sampling sampling_;
  std::vector<std::uint32_t> order_;
  std::vector<double> weights_;
};

}  // namespace ziptie
