#include "tokenizer/bpe_trainer.h"

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "tokenizer/alphabet.h"
#include "tokenizer/pair_counts.h"
#include "tokenizer/symbols.h"
#include "tokenizer/unicode.h"

namespace ziptie {
namespace {

/// A pair that may be merged, in the words in which it had newly come about when it was queued. A pair is
/// queued again when it comes about anew, so there can be several candidates for one.
struct Candidate {
  std::uint64_t count;
  std::uint32_t pair;
  std::uint64_t number;  ///< in the order of queueing
  TokenPair tokens;
};

/// The most frequent pair first; among equals the one with the lower ids.
struct ComesLater {
  bool operator()(const Candidate& left, const Candidate& right) const {
    if (left.count != right.count) return left.count < right.count;
    if (left.tokens != right.tokens) return left.tokens > right.tokens;
    return left.number > right.number;
  }
};

/// Code points of UTF-8.
std::size_t characters_in(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; }));
}

class Training {
 public:
  Training(std::vector<WordCounts>& words, const BpeTrainerOptions& options, const TrainerControl& control);
  BpeModel run();

 private:
  std::unordered_map<char32_t, std::uint32_t> add_alphabet();
  std::uint32_t id_of(const std::string& token, std::size_t characters);
  void count_pairs();
  void queue_new_pairs();
  void merge(TokenPair tokens, std::uint32_t merged, const std::vector<std::uint32_t>& words);
  void merge_in_word(std::uint32_t word, std::uint32_t left, std::uint32_t right, std::uint32_t merged);
  void change(std::uint32_t left, std::uint32_t right, std::int64_t count, std::uint32_t word);
  bool fits(std::uint32_t left, std::uint32_t right) const;

  const BpeTrainerOptions& options_;
  const TrainerControl& control_;
  std::vector<std::string> vocabulary_;
  std::vector<std::size_t> lengths_;  ///< of each token, in characters
  std::unordered_map<std::string, std::uint32_t> ids_;
  Alphabet alphabet_;
  Symbols symbols_;
  PairCounts pairs_;
  std::vector<std::uint32_t> new_pairs_;  ///< those whose `words` have something in them
  std::priority_queue<Candidate, std::vector<Candidate>, ComesLater> queue_;
  std::vector<std::vector<std::uint32_t>> candidate_words_;  ///< by the candidate's number
};

Training::Training(std::vector<WordCounts>& words, const BpeTrainerOptions& options,
                   const TrainerControl& control)
    : options_(options),
      control_(control),
      alphabet_(words, options),
      symbols_(words, alphabet_, add_alphabet(), control) {}

/// Special tokens first, then the characters. A character that is a special token, too, has that one's id.
std::unordered_map<char32_t, std::uint32_t> Training::add_alphabet() {
  for (const std::string& token : options_.special_tokens) id_of(token, characters_in(token));
  std::unordered_map<char32_t, std::uint32_t> ids;
  for (const char32_t character : alphabet_.characters()) ids[character] = id_of(to_utf8(character), 1);
  return ids;
}

std::uint32_t Training::id_of(const std::string& token, std::size_t characters) {
  const auto [entry, is_new] = ids_.try_emplace(token, static_cast<std::uint32_t>(vocabulary_.size()));
  if (is_new) {
    vocabulary_.push_back(token);
    lengths_.push_back(characters);
  }
  return entry->second;
}

void Training::count_pairs() {
  for (std::size_t word = 0; word < symbols_.words(); ++word) {
    if (word % (1 << 16) == 0) {
      if (control_.stop()) throw Cancelled();
      control_.report("counting", word, symbols_.words());
    }
    const auto symbols = symbols_[word];
    const auto count = static_cast<std::int64_t>(symbols_.count(word));
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
      change(symbols[i], symbols[i + 1], count, static_cast<std::uint32_t>(word));
  }
}

void Training::change(std::uint32_t left, std::uint32_t right, std::int64_t count, std::uint32_t word) {
  const std::uint32_t index = pairs_.index_of(pair_of(left, right));
  PairCounts::Pair& pair = pairs_[index];
  pair.count += count;
  if (count < 0) return;
  if (pair.words.empty()) new_pairs_.push_back(index);
  if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
}

void Training::queue_new_pairs() {
  for (const std::uint32_t index : new_pairs_) {
    PairCounts::Pair& pair = pairs_[index];
    if (pair.count > 0) {
      queue_.push({static_cast<std::uint64_t>(pair.count), index, candidate_words_.size(), pair.tokens});
      candidate_words_.push_back(std::move(pair.words));
    }
    pair.words = {};
  }
  new_pairs_.clear();
}

bool Training::fits(std::uint32_t left, std::uint32_t right) const {
  return !options_.max_token_length || lengths_[left] + lengths_[right] < *options_.max_token_length;
}

void Training::merge_in_word(std::uint32_t word, std::uint32_t left, std::uint32_t right,
                             std::uint32_t merged) {
  const auto symbols = symbols_[word];
  const auto count = static_cast<std::int64_t>(symbols_.count(word));
  std::size_t kept = 0;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i] != left || i + 1 == symbols.size() || symbols[i + 1] != right) {
      symbols[kept++] = symbols[i];
      continue;
    }
    if (kept > 0) {
      change(symbols[kept - 1], left, -count, word);
      if (fits(symbols[kept - 1], merged)) change(symbols[kept - 1], merged, count, word);
    }
    if (i + 2 < symbols.size()) {
      change(right, symbols[i + 2], -count, word);
      if (fits(symbols[i + 2], merged)) change(merged, symbols[i + 2], count, word);
    }
    symbols[kept++] = merged;
    ++i;
  }
  symbols_.shorten(word, kept);
}

BpeModel Training::run() {
  count_pairs();
  queue_new_pairs();
  std::vector<std::pair<std::uint32_t, std::uint32_t>> merges;
  const std::size_t first = vocabulary_.size();
  while (vocabulary_.size() < options_.vocab_size && !queue_.empty()) {
    Candidate best = queue_.top();
    queue_.pop();
    const auto count = static_cast<std::uint64_t>(pairs_[best.pair].count);
    if (best.count != count) {
      best.count = count;
      queue_.push(best);
      continue;
    }
    if (count < 1 || count < options_.min_frequency) break;
    if (control_.stop()) throw Cancelled();
    control_.report("merging", vocabulary_.size() - first, options_.vocab_size - first);
    const auto left = static_cast<std::uint32_t>(best.tokens >> 32);
    const auto right = static_cast<std::uint32_t>(best.tokens);
    const std::uint32_t merged =
        id_of(vocabulary_[left] + vocabulary_[right], lengths_[left] + lengths_[right]);
    merges.emplace_back(left, right);
    const auto words = std::move(candidate_words_[best.number]);
    candidate_words_[best.number] = {};
    for (const std::uint32_t word : words) merge_in_word(word, left, right, merged);
    queue_new_pairs();
  }
  // A pair that was merged again has the rank of the last time.
  std::unordered_set<TokenPair> ranked;
  BpeModel model;
  for (auto merge = merges.rbegin(); merge != merges.rend(); ++merge)
    if (ranked.insert(pair_of(merge->first, merge->second)).second) model.merges.push_back(*merge);
  std::reverse(model.merges.begin(), model.merges.end());
  model.vocabulary = std::move(vocabulary_);
  return model;
}

}  // namespace

BpeModel train_bpe(std::vector<WordCounts>& words, const BpeTrainerOptions& options,
                   const TrainerControl& control) {
  return Training(words, options, control).run();
}

}  // namespace ziptie
