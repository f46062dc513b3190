#pragma once
#include <cstddef>
#include <filesystem>
#include <span>

namespace ziptie {

/// A regular file's contents, mapped read-only.
class MappedFile {
 public:
  /// @throws FileError when it is missing, unreadable or no regular file
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Takes the pages that lie wholly within `part` out of this process's memory until they are read again.
  void release(std::span<const std::byte> part) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ziptie
