#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ziptie {

/// The same on every machine.
std::uint64_t hash_of(std::string_view word);

/// How often each of many words occurs. Iterates in the order in which words were first added, so that what
/// is made of it is always the same.
class WordCounts {
 public:
  struct Word {
    std::string_view text;
    std::uint64_t count;
  };

  /// @param hash `hash_of(word)`
  void add(std::string_view word, std::uint64_t hash, std::uint64_t count);
  /// Adds all of `other`'s.
  void add(const WordCounts& other);

  std::size_t size() const { return entries_.size(); }
  Word operator[](std::size_t index) const {
    const Entry& entry = entries_[index];
    return {std::string_view(text_).substr(entry.offset, entry.length), entry.count};
  }

  /// Memory that the words take, without what is reserved for more.
  std::size_t bytes() const { return text_.size() + entries_.size() * (sizeof(Entry) + 8); }

  struct Dropped {
    /// How often a word was dropped. Nothing is remembered of one that was, so that one which comes back and
    /// is dropped again counts again.
    std::uint64_t words = 0;
    std::uint64_t occurrences = 0;  ///< that no count holds any more; each once
  };
  /// Forgets the rarest words, of equally rare ones the latest, until at most `bytes` are taken.
  Dropped drop_rarest(std::size_t bytes);

  void clear();

 private:
  struct Entry {
    std::uint64_t hash, count, offset;
    std::uint32_t length;
  };

  std::size_t slot_of(std::string_view word, std::uint64_t hash) const;
  void grow(std::size_t slots);

  std::string text_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  ///< 1 + index into `entries_`, 0 when free; a power of two of them
};

}  // namespace ziptie
