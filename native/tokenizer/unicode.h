#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ziptie {

/// Reads the code point at `position` and moves past it. What is not UTF-8 reads as U+FFFD, byte by byte.
char32_t next_code_point(std::string_view text, std::size_t& position);

/// Appends the UTF-8 of `character`, which must be at most U+10FFFF.
void append_utf8(std::string& text, char32_t character);

std::string to_utf8(char32_t character);

/// A set of code points.
class CharacterSet {
 public:
  struct Range {
    char32_t first, last;  ///< both belong to it
  };

  CharacterSet() = default;
  /// Ranges may overlap and come in any order.
  explicit CharacterSet(std::vector<Range> ranges);

  bool empty() const { return ranges_.empty(); }
  bool contains(char32_t character) const;

 private:
  std::vector<Range> ranges_;  ///< ascending and disjoint
};

}  // namespace ziptie
