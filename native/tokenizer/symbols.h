#pragma once
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "tokenizer/alphabet.h"

namespace ziptie {

/// The different words of a corpus as tokens, one array for all.
class Symbols {
 public:
  /// @param words is emptied, table by table
  /// @param ids of the alphabet's characters
  Symbols(std::vector<WordCounts>& words, const Alphabet& alphabet,
          const std::unordered_map<char32_t, std::uint32_t>& ids, const TrainerControl& control);

  std::size_t words() const { return words_.size(); }
  std::uint64_t count(std::size_t word) const { return words_[word].count; }
  std::span<std::uint32_t> operator[](std::size_t word) {
    return {symbols_.data() + words_[word].begin, words_[word].length};
  }
  void shorten(std::size_t word, std::size_t length) {
    words_[word].length = static_cast<std::uint32_t>(length);
  }

 private:
  struct Word {
    std::uint64_t begin, count;
    std::uint32_t length;
  };
  void end_word(std::uint64_t begin, std::uint64_t count);

  std::vector<std::uint32_t> symbols_;
  std::vector<Word> words_;
};

}  // namespace ziptie
