#pragma once
#include <cstdint>
#include <vector>

namespace ziptie {

/// Two tokens that follow each other; compares as HF compares pairs, first by the left one.
using TokenPair = std::uint64_t;

constexpr TokenPair pair_of(std::uint32_t left, std::uint32_t right) {
  return static_cast<TokenPair>(left) << 32 | right;
}

/// How often each pair occurs in the corpus, and in which words it has newly come about.
class PairCounts {
 public:
  struct Pair {
    TokenPair tokens;
    std::int64_t count = 0;
    std::vector<std::uint32_t> words;  ///< ascending
  };

  /// The index of a pair, which is added when it is new. Indices stay.
  std::uint32_t index_of(TokenPair tokens);

  std::size_t size() const { return pairs_.size(); }
  Pair& operator[](std::uint32_t index) { return pairs_[index]; }

 private:
  void grow();

  std::vector<Pair> pairs_;
  std::vector<std::uint32_t> slots_;  ///< 1 + index, 0 when free; a power of two of them
};

}  // namespace ziptie
