#include "tokenizer/alphabet.h"

#include <algorithm>
#include <limits>

#include "tokenizer/unicode.h"

namespace ziptie {
namespace {

constexpr std::size_t code_points = 0x110000;

}  // namespace

Alphabet::Alphabet(const std::vector<WordCounts>& words, const BpeTrainerOptions& options)
    : kept_(code_points) {
  std::vector<std::uint64_t> counts(code_points);
  std::uint64_t total = 0;
  for (const WordCounts& table : words) {
    for (std::size_t index = 0; index < table.size(); ++index) {
      const auto [text, count] = table[index];
      for (std::size_t position = 0; position < text.size(); total += count)
        counts[next_code_point(text, position)] += count;
    }
  }
  for (const char32_t character : options.initial_alphabet)
    counts[character] = std::numeric_limits<std::uint64_t>::max();
  for (char32_t character = 0; character < code_points; ++character)
    if (counts[character] > 0) characters_.push_back(character);

  std::stable_sort(characters_.begin(), characters_.end(),
                   [&](char32_t left, char32_t right) { return counts[left] > counts[right]; });
  if (options.character_coverage < 1) {
    uncovered_.resize(code_points);
    const double wanted = options.character_coverage * static_cast<double>(total);
    double covered = 0;
    std::size_t kept = 0;
    for (; kept < characters_.size(); ++kept) {
      const std::uint64_t count = counts[characters_[kept]];
      const bool is_initial = count == std::numeric_limits<std::uint64_t>::max();
      if (!is_initial && covered >= wanted) break;
      if (!is_initial) covered += static_cast<double>(count);
    }
    for (std::size_t index = kept; index < characters_.size(); ++index) uncovered_[characters_[index]] = true;
    characters_.resize(kept);
  }
  if (options.limit_alphabet && *options.limit_alphabet < characters_.size())
    characters_.resize(*options.limit_alphabet);
  std::sort(characters_.begin(), characters_.end());
  for (const char32_t character : characters_) kept_[character] = true;
}

}  // namespace ziptie
