#pragma once
#include <cstdint>
#include <vector>

#include "tokenizer/bpe_trainer.h"

namespace ziptie {

/// Which characters of a corpus become tokens.
class Alphabet {
 public:
  Alphabet(const std::vector<WordCounts>& words, const BpeTrainerOptions& options);

  /// Ascending.
  const std::vector<char32_t>& characters() const { return characters_; }
  bool contains(char32_t character) const { return kept_[character]; }
  /// Whether a character that is left out parts the word that it stands in.
  bool parts(char32_t character) const { return !uncovered_.empty() && uncovered_[character]; }

 private:
  std::vector<char32_t> characters_;
  std::vector<bool> kept_, uncovered_;  ///< by code point
};

}  // namespace ziptie
