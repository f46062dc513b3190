#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "engine/io/descriptor.h"

namespace ziptie {

/// A regular file that is open for reading. Its bytes are read, never mapped: a file that is cut short while
/// it is mapped ends the program with SIGBUS.
class InputFile {
 public:
  /// @throws FileError when it is missing, unreadable or no regular file
  explicit InputFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  /// Bytes that it had when it was opened.
  std::uint64_t size() const { return size_; }
  /// Fills `to` with what begins at byte `at`; from any number of threads at a time.
  /// @throws FileError when the file ends before, which then has been cut short, or the system gives a reason
  void read(std::uint64_t at, std::span<std::byte> to) const;

 private:
  std::filesystem::path path_;
  Descriptor descriptor_;
  std::uint64_t size_ = 0;
};

}  // namespace ziptie
