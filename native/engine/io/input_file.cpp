#include "engine/io/input_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/io/safetensors.h"

namespace ziptie {

namespace {

/// @throws FileError
struct stat status_of(int descriptor, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0)
    throw FileError(fmt::format("{}: cannot read: {}", path.string(), std::strerror(errno)));
  return status;
}

}  // namespace

InputFile::InputFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_.value < 0)
    throw FileError(fmt::format("{}: cannot open: {}", path_.string(), std::strerror(errno)));
  const auto status = status_of(descriptor_.value, path_);
  if (!S_ISREG(status.st_mode)) throw FileError(fmt::format("{}: not a regular file", path_.string()));
  size_ = static_cast<std::uint64_t>(status.st_size);
}

void InputFile::read(std::uint64_t at, std::span<std::byte> to) const {
  while (!to.empty()) {
    const ssize_t got = ::pread(descriptor_.value, to.data(), to.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw FileError(fmt::format("{}: cannot read: {}", path_.string(), std::strerror(errno)));
    if (got == 0) {
      throw FileError(
          fmt::format("{}: the file has been cut short while it was in use: it had {} bytes, and has {} now",
                      path_.string(), size_, status_of(descriptor_.value, path_).st_size));
    }
    at += static_cast<std::uint64_t>(got);
    to = to.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace ziptie
