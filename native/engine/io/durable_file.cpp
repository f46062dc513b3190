#include "engine/io/durable_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/io/descriptor.h"
#include "engine/io/file_lock.h"
#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view action, int error) {
  const char* remedy = error == ENOSPC || error == EDQUOT ? "; free some space and resume" : "";
  throw FileError(fmt::format("{}: cannot {}: {}{}", path.string(), action, std::strerror(error), remedy));
}

}  // namespace

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

namespace {

/// Gives the finished directory `aside` the name `directory` and makes it durable.
void publish_directory(const std::filesystem::path& aside, const std::filesystem::path& directory,
                       Existing existing) {
  sync_directory(aside);
  if (existing == Existing::refuse) {
    if (::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, directory.c_str(), RENAME_NOREPLACE) != 0) {
      // Some file systems cannot rename so; a directory that is not empty is not replaced even then.
      if (errno != EINVAL || ::rename(aside.c_str(), directory.c_str()) != 0)
        fail(directory, "create", errno);
    }
    return sync_directory(directory.parent_path());
  }
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (error) fail(directory, "remove", error.value());
  std::filesystem::rename(aside, directory, error);
  if (error) fail(directory, "create", error.value());
  sync_directory(directory.parent_path());
}

enum class Kind { file, directory };

/// The name that `path` is written under until it is whole, locked.
class Aside {
 public:
  Aside(const std::filesystem::path& path, Kind kind)
      : path_(path.parent_path() / fmt::format(".{}.tmp", path.filename().string())),
        lock_(claim(path, kind)) {}
  /// What has its name by now is no longer here.
  ~Aside() {
    // On a full disk its space is needed to say so.
    std::error_code ignored;
    if (is_same_file(lock_.value, path_)) std::filesystem::remove_all(path_, ignored);
  }
  Aside(const Aside&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  Descriptor claim(const std::filesystem::path& target, Kind kind) const {
    const int flags = kind == Kind::directory ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT;
    while (true) {
      create_directories_durably(kind == Kind::directory ? path_ : path_.parent_path());
      Descriptor opened(::open(path_.c_str(), flags | O_CLOEXEC, 0666));
      if (opened.value < 0 && errno == ENOENT) continue;  // another process has just finished with it
      if (opened.value < 0) fail(path_, "create", errno);
      if (is_locked_elsewhere(opened.value)) {
        throw FileError(fmt::format(
            "{}: another process is writing it at this moment; wait for it, or name another output",
            target.string()));
      }
      if (is_same_file(opened.value, path_)) return opened;
    }
  }

  std::filesystem::path path_;
  Descriptor lock_;
};

}  // namespace

void write_file_aside(const std::filesystem::path& path, std::string_view text) {
  const Aside aside(path, Kind::file);
  write_file(aside.path(), text);
  std::error_code error;
  std::filesystem::rename(aside.path(), path, error);
  if (error) fail(path, "create", error.value());
  sync_directory(path.parent_path());
}

void write_aside(const std::filesystem::path& directory,
                 const std::function<void(const std::filesystem::path& aside)>& write, Existing existing) {
  const Aside aside(directory, Kind::directory);
  std::error_code error;
  for (std::filesystem::directory_iterator entry(aside.path(), error), end; !error && entry != end;
       entry.increment(error)) {
    std::filesystem::remove_all(entry->path(), error);
  }
  if (error) fail(aside.path(), "empty", error.value());
  write(aside.path());
  publish_directory(aside.path(), directory, existing);
}

}  // namespace ziptie
