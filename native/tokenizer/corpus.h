#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/mapped_file.h"

namespace ziptie {

enum class CorpusFormat {
  text,   ///< a text is a line
  jsonl,  ///< a text is a field of a line's JSON object
};

struct CorpusFile {
  std::filesystem::path path;
  CorpusFormat format = CorpusFormat::text;
  std::string field;  ///< of `jsonl`
};

/// The texts of some files, in stretches of whole lines that can be read side by side. How a file is cut
/// follows from its contents alone.
class Corpus {
 public:
  /// @throws FileError when one cannot be opened
  explicit Corpus(const std::vector<CorpusFile>& files);

  std::size_t chunks() const { return chunks_.size(); }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t chunk_bytes(std::size_t chunk) const { return chunks_[chunk].text.size(); }

  /// Calls `take` for every text of a chunk, in order. Empty lines are no texts.
  /// @throws FileError naming file and line of a row that has no such field
  void read(std::size_t chunk, const std::function<void(std::string_view)>& take) const;

 private:
  struct Chunk {
    std::size_t file;
    std::string_view text;
  };

  std::vector<CorpusFile> files_;
  std::vector<MappedFile> mapped_;
  std::vector<Chunk> chunks_;
  std::uint64_t bytes_ = 0;
};

}  // namespace ziptie
