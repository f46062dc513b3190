#pragma once
#include <vector>

#include "tokenizer/bpe_trainer.h"
#include "tokenizer/corpus.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/word_counts.h"

namespace ziptie {

struct CountedWords {
  std::vector<WordCounts> tables;  ///< a word is in one of them
  WordCounts::Dropped dropped;     ///< its occurrences and those in the tables are all there are
  std::uint64_t texts = 0;
};

/// Counts the words of a corpus. The result does not depend on the number of threads.
/// @param max_bytes that the tables may take; when there are more words, the rarest so far are dropped
/// @throws Cancelled; FileError
CountedWords count_words(const Corpus& corpus, const PreTokenizer& pre_tokenizer, std::size_t max_bytes,
                         int threads, const TrainerControl& control);

}  // namespace ziptie
