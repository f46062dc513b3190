#pragma once
// Files and names that survive a killed process and a power cut.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace ziptie {

/// A file being written from its beginning. Every error is a FileError with the system's reason.
class DurableFile {
 public:
  /// Creates or empties `path`.
  explicit DurableFile(std::filesystem::path path);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Waits until the disk has it, and closes. Without this call nothing is promised.
  void finish();

 private:
  std::filesystem::path path_;
  int descriptor_;
};

/// Writes a whole file and syncs it. @throws FileError
void write_file(const std::filesystem::path& path, std::string_view text);
/// @throws FileError
std::string read_file(const std::filesystem::path& path);
/// Copies contents only, and syncs them. @throws FileError
void copy_file_durably(const std::filesystem::path& from, const std::filesystem::path& to);
/// Makes the names within `directory` durable. @throws FileError
void sync_directory(const std::filesystem::path& directory);
/// Creates a directory and those above it that are missing, each durably; it may be there already.
/// @throws FileError
void create_directories_durably(const std::filesystem::path& directory);

/// `error` is the system's, as in errno. @throws FileError saying that `action` failed, why, and what to do
[[noreturn]] void fail(const std::filesystem::path& path, std::string_view action, int error);

}  // namespace ziptie
