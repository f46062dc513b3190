#include "engine/io/mapped_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/io/safetensors.h"

namespace ziptie {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto fail = [&](const char* action) {
    return FileError(fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(errno)));
  };
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw fail("open");
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    const auto error = fail("read");
    ::close(descriptor);
    throw error;
  }
  if (!S_ISREG(status.st_mode)) {
    ::close(descriptor);
    throw FileError(fmt::format("{}: not a regular file", path.string()));
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > 0) {
    void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const auto error = fail("map");
    ::close(descriptor);
    if (mapped == MAP_FAILED) throw error;
    data_ = static_cast<const std::byte*>(mapped);
  } else {
    ::close(descriptor);
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::span<const std::byte> part) const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto begin =
      static_cast<std::size_t>(part.data() - data_ + static_cast<std::ptrdiff_t>(page) - 1) / page * page;
  const auto end =
      static_cast<std::size_t>(part.data() - data_ + static_cast<std::ptrdiff_t>(part.size())) / page * page;
  // Only a hint: where it fails the pages stay.
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

}  // namespace ziptie
