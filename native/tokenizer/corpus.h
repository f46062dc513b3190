#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/input_file.h"
#include "engine/io/safetensors.h"

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
  std::uint64_t chunk_bytes(std::size_t chunk) const { return chunks_[chunk].size; }

  /// Calls `take` for every text of a chunk, in order. Empty lines are no texts. The chunk is in memory
  /// meanwhile.
  /// @throws FileError naming file and line of a row that has no such field, or the file when it has been cut
  /// short
  void read(std::size_t chunk, const std::function<void(std::string_view)>& take) const;

 private:
  struct Chunk {
    std::size_t file;
    std::uint64_t begin, size;
  };

  FileError refuse(const Chunk& chunk, std::uint64_t at, const std::string& what) const;

  std::vector<CorpusFile> files_;
  std::vector<InputFile> opened_;
  std::vector<Chunk> chunks_;
  std::uint64_t bytes_ = 0;
};

}  // namespace ziptie
