#pragma once
// Byte-pair encoding, trained exactly as Hugging Face's `BpeTrainer` does (tokenizers 0.23,
// tokenizers/src/models/bpe/trainer.rs): same vocabulary, same merges, same order.

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/word_counts.h"

namespace ziptie {

/// Names are those of HF's trainer.
struct BpeTrainerOptions {
  std::size_t vocab_size = 30000;
  /// A pair that occurs less often is not merged.
  std::uint64_t min_frequency = 0;
  /// They come first, in this order.
  std::vector<std::string> special_tokens;
  /// Characters that are in the alphabet however rare they are.
  std::vector<char32_t> initial_alphabet;
  /// Only the most frequent characters are kept; among those as frequent as the last one that is, HF leaves
  /// the choice to chance, here the lower code points stay. Characters outside are taken out of their words.
  std::optional<std::size_t> limit_alphabet;
  /// SentencePiece's: only the most frequent characters that together make up this share of the text are
  /// kept. Characters outside part words in two.
  double character_coverage = 1;
  /// In characters, as HF counts: two characters always merge, and longer tokens only come about below it.
  std::optional<std::size_t> max_token_length;
};

struct BpeModel {
  std::vector<std::string> vocabulary;  ///< by id
  /// By rank: the ids of the two parts.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> merges;
};

/// What a long piece of work tells, and asks, while it goes on.
struct TrainerControl {
  /// @param phase what is being done; @param done of @param total
  std::function<void(std::string_view phase, std::uint64_t done, std::uint64_t total)> report;
  std::function<bool()> stop;
};

/// The work was ended on request.
struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("cancelled; nothing was written") {}
};

/// @param words is emptied, table by table, to make room
/// @throws Cancelled
BpeModel train_bpe(std::vector<WordCounts>& words, const BpeTrainerOptions& options,
                   const TrainerControl& control);

}  // namespace ziptie
