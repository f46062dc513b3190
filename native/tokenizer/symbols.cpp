#include "tokenizer/symbols.h"

#include "tokenizer/unicode.h"

namespace ziptie {

Symbols::Symbols(std::vector<WordCounts>& words, const Alphabet& alphabet,
                 const std::unordered_map<char32_t, std::uint32_t>& ids, const TrainerControl& control) {
  std::vector<std::uint32_t> id_of(0x110000);
  for (const auto& [character, id] : ids) id_of[character] = id;
  for (std::size_t table = 0; table < words.size(); ++table) {
    if (control.stop()) throw Cancelled();
    control.report("tokenizing", table, words.size());
    for (std::size_t index = 0; index < words[table].size(); ++index) {
      const auto [text, count] = words[table][index];
      std::uint64_t begin = symbols_.size();
      for (std::size_t position = 0; position < text.size();) {
        const char32_t character = next_code_point(text, position);
        if (alphabet.contains(character)) {
          symbols_.push_back(id_of[character]);
        } else if (alphabet.parts(character)) {
          end_word(begin, count);
          begin = symbols_.size();
        }
      }
      end_word(begin, count);
    }
    words[table].clear();
  }
}

/// A word of one token can never merge.
void Symbols::end_word(std::uint64_t begin, std::uint64_t count) {
  const auto length = static_cast<std::uint32_t>(symbols_.size() - begin);
  if (length < 2)
    symbols_.resize(begin);
  else
    words_.push_back({begin, count, length});
}

}  // namespace ziptie
