#include "tokenizer/count_words.h"

#include <algorithm>
#include <array>
#include <string>
#include <thread>

#include "engine/backend/cpu/threads.h"

namespace ziptie {
namespace {

/// Chunks are counted side by side, then the tables merged side by side, each in the order of the chunks.
/// Both numbers decide when words are dropped, so they do not follow the number of threads.
constexpr std::size_t chunks_at_once = 16;
constexpr std::size_t tables = 16;

std::size_t table_of(std::uint64_t hash) { return hash >> 60; }
static_assert(tables == 1 << (64 - 60));

}  // namespace

CountedWords count_words(const Corpus& corpus, const PreTokenizer& pre_tokenizer, std::size_t max_bytes,
                         int threads, const TrainerControl& control) {
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const cpu::Threads team(threads);
  CountedWords counted;
  counted.tables.resize(tables);
  std::array<std::array<WordCounts, tables>, chunks_at_once> local;
  std::array<std::uint64_t, chunks_at_once> texts{};
  std::array<WordCounts::Dropped, tables> dropped{};
  std::uint64_t done = 0;
  for (std::size_t first = 0; first < corpus.chunks(); first += chunks_at_once) {
    if (control.stop()) throw Cancelled();
    control.report("reading", done, corpus.bytes());
    const std::size_t chunks = std::min(chunks_at_once, corpus.chunks() - first);
    team.run(static_cast<std::int64_t>(chunks), [&](std::int64_t chunk, int) {
      auto& mine = local[static_cast<std::size_t>(chunk)];
      std::string word;
      corpus.read(first + static_cast<std::size_t>(chunk), [&](std::string_view text) {
        ++texts[static_cast<std::size_t>(chunk)];
        pre_tokenizer.words(text, word, [&](std::string_view found, std::uint64_t hash) {
          mine[table_of(hash)].add(found, hash, 1);
        });
      });
    });
    team.run(tables, [&](std::int64_t index, int) {
      const auto number = static_cast<std::size_t>(index);
      WordCounts& table = counted.tables[number];
      for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
        table.add(local[chunk][number]);
        local[chunk][number].clear();
      }
      if (table.bytes() <= max_bytes / tables) return;
      const auto lost = table.drop_rarest(max_bytes / tables / 2);
      dropped[number].words += lost.words;
      dropped[number].occurrences += lost.occurrences;
    });
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) done += corpus.chunk_bytes(first + chunk);
  }
  for (const std::uint64_t count : texts) counted.texts += count;
  for (const auto& lost : dropped) {
    counted.dropped.words += lost.words;
    counted.dropped.occurrences += lost.occurrences;
  }
  return counted;
}

}  // namespace ziptie
