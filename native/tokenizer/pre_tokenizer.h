#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/unicode.h"
#include "tokenizer/word_counts.h"

namespace ziptie {

/// How a text is cut into the words within which tokens are made.
struct PreTokenizer {
  /// Spaces become this character and begin a word, as with HF's Metaspace; none: spaces are characters like
  /// others.
  std::optional<char32_t> replacement;
  /// The replacement also begins every text that does not begin with it (`prepend_scheme: always`).
  bool prepend = false;
  /// Only these stand in words, beside the replacement at a word's beginning; all others part words and are
  /// left out. None: every character.
  std::optional<CharacterSet> characters;
  /// Each of these is a word by itself. They need not be among `characters`.
  CharacterSet isolated;

  /// A word is cut after so many characters, so that one line of gigabytes costs no more than many. No token
  /// comes near.
  static constexpr std::size_t longest_word = 1024;

  /// Cuts `text` and counts its words by `take(word, hash)`. @param word a buffer to reuse
  template <class Take>
  void words(std::string_view text, std::string& word, const Take& take) const;
};

template <class Take>
void PreTokenizer::words(std::string_view text, std::string& word, const Take& take) const {
  word.clear();
  std::size_t length = 0;
  bool only_mark = false;
  const auto end = [&] {
    // A mark without its word is no word where characters are left out.
    if (length > 0 && !(only_mark && characters)) take(std::string_view(word), hash_of(word));
    word.clear();
    length = 0;
    only_mark = false;
  };
  const auto put = [&](char32_t character) {
    if (length == longest_word) end();
    append_utf8(word, character);
    ++length;
  };
  const auto begin = [&] {
    end();
    put(*replacement);
    only_mark = true;
  };
  const auto is_mark = [&](char32_t character) { return character == U' ' || character == *replacement; };
  if (replacement && prepend && !text.empty()) {
    std::size_t position = 0;
    if (!is_mark(next_code_point(text, position))) begin();
  }
  for (std::size_t position = 0; position < text.size();) {
    const char32_t character = next_code_point(text, position);
    if (replacement && is_mark(character)) {
      begin();
    } else if (isolated.contains(character)) {
      end();
      put(character);
      end();
    } else if (!characters || characters->contains(character)) {
      put(character);
      only_mark = false;
    } else {
      end();
    }
  }
  end();
}

}  // namespace ziptie
