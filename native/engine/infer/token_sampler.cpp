#include "engine/infer/token_sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "engine/backend/philox.h"

namespace ziptie {
namespace {

/// In [0, 1), 53 bits.
double uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t position) {
  PhiloxBlock<1> counter;
  counter[0][0] = static_cast<std::uint32_t>(position);
  counter[1][0] = static_cast<std::uint32_t>(position >> 32);
  counter[2][0] = static_cast<std::uint32_t>(stream);
  counter[3][0] = static_cast<std::uint32_t>(stream >> 32);
  const PhiloxBlock<1> bits = philox<1>(counter, mix_bits(seed));
  const std::uint64_t word = std::uint64_t{bits[1][0]} << 32 | bits[0][0];
  return static_cast<double>(word >> 11) * 0x1p-53;
}

}  // namespace

TokenSampler::TokenSampler(const Sampling& sampling) : sampling_(sampling) {
  if (!(sampling.temperature >= 0) || std::isinf(sampling.temperature))
    throw std::invalid_argument("temperature: expected 0 or more, found " +
                                std::to_string(sampling.temperature));
  if (sampling.top_k < 0)
    throw std::invalid_argument("top_k: expected 0 or more, found " + std::to_string(sampling.top_k));
  if (!(sampling.top_p > 0 && sampling.top_p <= 1))
    throw std::invalid_argument("top_p: expected more than 0 and at most 1, found " +
                                std::to_string(sampling.top_p));
}

std::uint32_t TokenSampler::choose(std::span<const float> logits, std::uint64_t stream,
                                   std::uint64_t position) {
  if (std::ranges::any_of(logits, [](float logit) { return std::isnan(logit); }) ||
      !std::isfinite(std::ranges::max(logits)))
    throw std::runtime_error("the model's logits are not numbers; its weights have overflown or are damaged");
  if (sampling_.temperature == 0)
    return static_cast<std::uint32_t>(std::ranges::max_element(logits) - logits.begin());

  const std::size_t vocab = logits.size();
  order_.resize(vocab);
  std::iota(order_.begin(), order_.end(), 0U);
  const auto likelier = [&](std::uint32_t a, std::uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::size_t kept = vocab;
  if (sampling_.top_k > 0) kept = std::min(kept, static_cast<std::size_t>(sampling_.top_k));
  const auto end_of_kept = order_.begin() + static_cast<std::ptrdiff_t>(kept);
  if (kept < vocab) std::ranges::nth_element(order_, end_of_kept, likelier);
  // Without top-p the order does not matter, but what is drawn must not depend on how it came about.
  std::sort(order_.begin(), end_of_kept, likelier);

  weights_.resize(kept);
  double total = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    weights_[i] =
        std::exp((static_cast<double>(logits[order_[i]]) - logits[order_[0]]) / sampling_.temperature);
    total += weights_[i];
  }
  if (sampling_.top_p < 1) {
    double reached = 0;
    std::size_t count = 0;
    while (count < kept && (count == 0 || reached < sampling_.top_p * total)) reached += weights_[count++];
    kept = count;
    total = reached;
  }
  const double drawn = uniform(sampling_.seed, stream, position) * total;
  double reached = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    reached += weights_[i];
    if (drawn < reached) return order_[i];
  }
  return order_[kept - 1];
}

}  // namespace ziptie
