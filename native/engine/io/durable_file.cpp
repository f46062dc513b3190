#include "engine/io/durable_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/io/descriptor.h"
#include "engine/io/safetensors.h"

namespace ziptie {

void fail(const std::filesystem::path& path, std::string_view action, int error) {
  const char* remedy = error == ENOSPC || error == EDQUOT ? "; free some space and resume" : "";
  throw FileError(fmt::format("{}: cannot {}: {}{}", path.string(), action, std::strerror(error), remedy));
}

DurableFile::DurableFile(std::filesystem::path path)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) fail(path_, "create", errno);
}

DurableFile::~DurableFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void DurableFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_, "write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void DurableFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void DurableFile::finish() {
  if (::fsync(descriptor_) != 0) fail(path_, "write", errno);
  // A network file system may only report a full disk here.
  if (::close(std::exchange(descriptor_, -1)) != 0) fail(path_, "write", errno);
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  DurableFile file(path);
  file.write(text);
  file.finish();
}

std::string read_file(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.value < 0) fail(path, "open", errno);
  std::string text;
  std::array<char, 1 << 16> chunk;
  while (true) {
    const ssize_t got = ::read(file.value, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path, "read", errno);
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

void copy_file_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
  write_file(to, read_file(from));
}

void sync_directory(const std::filesystem::path& directory) {
  const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.value < 0) fail(directory, "open", errno);
  // Some file systems have nothing to sync in a directory and say EINVAL.
  if (::fsync(opened.value) != 0 && errno != EINVAL) fail(directory, "sync", errno);
}

void create_directories_durably(const std::filesystem::path& directory) {
  std::error_code error;
  if (std::filesystem::is_directory(directory, error)) return;
  const auto parent = directory.parent_path();
  if (!parent.empty() && parent != directory) create_directories_durably(parent);
  std::filesystem::create_directory(directory, error);
  if (error) fail(directory, "create", error.value());
  // The name of a directory is its parent's content.
  sync_directory(parent.empty() ? "." : parent);
}

}  // namespace ziptie
