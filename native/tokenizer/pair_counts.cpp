#include "tokenizer/pair_counts.h"

#include <algorithm>
#include <stdexcept>

namespace ziptie {
namespace {

std::size_t slot_of(TokenPair tokens, std::size_t mask) {
  std::uint64_t hash = tokens * 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
  return (hash ^ hash >> 32) & mask;
}

}  // namespace

std::uint32_t PairCounts::index_of(TokenPair tokens) {
  if (2 * (pairs_.size() + 1) > slots_.size()) grow();
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = slot_of(tokens, mask);
  for (; slots_[slot] != 0; slot = (slot + 1) & mask)
    if (pairs_[slots_[slot] - 1].tokens == tokens) return slots_[slot] - 1;
  if (pairs_.size() == UINT32_MAX - 1) throw std::length_error("more than 2^32 different pairs");
  pairs_.push_back({tokens, 0, {}});
  slots_[slot] = static_cast<std::uint32_t>(pairs_.size());
  return slots_[slot] - 1;
}

void PairCounts::grow() {
  slots_.assign(std::max<std::size_t>(1 << 16, 2 * slots_.size()), 0);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t index = 0; index < pairs_.size(); ++index) {
    std::size_t slot = slot_of(pairs_[index].tokens, mask);
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<std::uint32_t>(index + 1);
  }
}

}  // namespace ziptie
