#include "tokenizer/unicode.h"

#include <utility>

namespace ziptie {
namespace {

constexpr char32_t replacement_character = 0xFFFD;

bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

}  // namespace

char32_t next_code_point(std::string_view text, std::size_t& position) {
  const auto byte = [&](std::size_t offset) { return static_cast<unsigned char>(text[position + offset]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    ++position;
    return lead;
  }
  const int length = lead >= 0xF0 && lead < 0xF5 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
  bool valid = length > 0 && lead < 0xF5 && position + static_cast<std::size_t>(length) <= text.size();
  char32_t character = length == 4 ? lead & 0x07u : length == 3 ? lead & 0x0Fu : lead & 0x1Fu;
  for (int i = 1; valid && i < length; ++i) {
    valid = is_continuation(byte(static_cast<std::size_t>(i)));
    character = character << 6 | (byte(static_cast<std::size_t>(i)) & 0x3Fu);
  }
  // Overlong forms, surrogates and what lies beyond Unicode.
  if (length == 3) valid = valid && character >= 0x800 && (character < 0xD800 || character > 0xDFFF);
  if (length == 4) valid = valid && character >= 0x10000 && character <= 0x10FFFF;
  if (!valid) {
    ++position;
    return replacement_character;
  }
  position += static_cast<std::size_t>(length);
  return character;
}

void append_utf8(std::string& text, char32_t character) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0 | character >> 6);
    put(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    put(0xE0 | character >> 12);
    put(0x80 | (character >> 6 & 0x3F));
    put(0x80 | (character & 0x3F));
  } else {
    put(0xF0 | character >> 18);
    put(0x80 | (character >> 12 & 0x3F));
    put(0x80 | (character >> 6 & 0x3F));
    put(0x80 | (character & 0x3F));
  }
}

std::string to_utf8(char32_t character) {
  std::string text;
  append_utf8(text, character);
  return text;
}

CharacterSet::CharacterSet(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& left, const Range& right) { return left.first < right.first; });
  for (const Range& range : ranges) {
    if (!ranges_.empty() && range.first <= ranges_.back().last)
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    else
      ranges_.push_back(range);
  }
}

bool CharacterSet::contains(char32_t character) const {
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), character,
                       [](char32_t wanted, const Range& range) { return wanted < range.first; });
  return after != ranges_.begin() && character <= std::prev(after)->last;
}

}  // namespace ziptie
