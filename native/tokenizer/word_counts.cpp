#include "tokenizer/word_counts.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <stdexcept>

namespace ziptie {

std::uint64_t hash_of(std::string_view word) {
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
  std::uint64_t hash = word.size() * odd;
  const auto mix = [&](std::uint64_t bits) {
    hash = (hash ^ bits) * odd;
    hash ^= hash >> 32;
  };
  while (word.size() >= 8) {
    std::uint64_t bits;
    std::memcpy(&bits, word.data(), 8);
    mix(bits);
    word.remove_prefix(8);
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, word.data(), word.size());
  mix(rest);
  mix(0);
  return hash;
}

std::size_t WordCounts::slot_of(std::string_view word, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    if (slots_[slot] == 0) return slot;
    const Entry& entry = entries_[slots_[slot] - 1];
    if (entry.hash == hash && entry.length == word.size() &&
        std::memcmp(text_.data() + entry.offset, word.data(), word.size()) == 0)
      return slot;
  }
}

void WordCounts::grow(std::size_t slots) {
  slots_.assign(slots, 0);
  const std::size_t mask = slots - 1;
  for (std::size_t index = 0; index < entries_.size(); ++index) {
    std::size_t slot = entries_[index].hash & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<std::uint32_t>(index + 1);
  }
}

void WordCounts::add(std::string_view word, std::uint64_t hash, std::uint64_t count) {
  if (2 * (entries_.size() + 1) > slots_.size()) grow(std::max<std::size_t>(64, 2 * slots_.size()));
  const std::size_t slot = slot_of(word, hash);
  if (slots_[slot] != 0) {
    entries_[slots_[slot] - 1].count += count;
    return;
  }
  if (entries_.size() == UINT32_MAX - 1) throw std::length_error("more than 2^32 different words");
  entries_.push_back({hash, count, text_.size(), static_cast<std::uint32_t>(word.size())});
  text_.append(word);
  slots_[slot] = static_cast<std::uint32_t>(entries_.size());
}

void WordCounts::add(const WordCounts& other) {
  for (const Entry& entry : other.entries_)
    add(std::string_view(other.text_).substr(entry.offset, entry.length), entry.hash, entry.count);
}

WordCounts::Dropped WordCounts::drop_rarest(std::size_t bytes) {
  const auto bytes_of = [](const Entry& entry) { return entry.length + sizeof(Entry) + 8; };
  std::map<std::uint64_t, std::size_t, std::greater<>> bytes_by_count;
  for (const Entry& entry : entries_) bytes_by_count[entry.count] += bytes_of(entry);
  // All words that are more frequent than `threshold` fit, and a part of those that are as frequent.
  std::size_t room = bytes;
  std::uint64_t threshold = 0;
  for (const auto& [count, taken] : bytes_by_count) {
    threshold = count;
    if (taken > room) break;
    room -= taken;
    threshold = 0;
  }
  Dropped dropped;
  WordCounts kept;
  for (const Entry& entry : entries_) {
    const bool fits = entry.count == threshold && bytes_of(entry) <= room;
    if (fits) room -= bytes_of(entry);
    if (fits || entry.count > threshold) {
      kept.add(std::string_view(text_).substr(entry.offset, entry.length), entry.hash, entry.count);
    } else {
      ++dropped.words;
      dropped.occurrences += entry.count;
    }
  }
  *this = std::move(kept);
  return dropped;
}

void WordCounts::clear() { *this = WordCounts(); }

}  // namespace ziptie
