#include "engine/io/write_aside.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "engine/io/descriptor.h"
#include "engine/io/durable_file.h"
#include "engine/io/file_lock.h"
#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

namespace fs = std::filesystem;

fs::path parent_of(const fs::path& path) {
  const auto parent = path.parent_path();
  return parent.empty() ? "." : parent;
}

/// `.NAME.SUFFIX` beside `path`.
fs::path beside(const fs::path& path, std::string_view suffix) {
  return parent_of(path) / fmt::format(".{}.{}", path.filename().string(), suffix);
}

/// Whether a file of this name is what a write to `path` left.
bool is_left_of(const fs::path& path, std::string_view name) {
  const std::string prefix = fmt::format(".{}.", path.filename().string());
  constexpr std::string_view suffix = ".tmp";
  if (name.size() <= prefix.size() + suffix.size() || !name.starts_with(prefix) || !name.ends_with(suffix))
    return false;
  name.remove_prefix(prefix.size());
  name.remove_suffix(suffix.size());
  return name.find('.') == std::string_view::npos;  // or it belongs to a longer name
}

enum class Kind { file, directory };

/// The name that `target` is written under until it is whole, while nobody else writes it.
class Aside {
 public:
  Aside(const fs::path& target, Kind kind)
      : lock_path_(beside(target, "lock")), lock_(claim(target)), path_(create(target, kind)) {}
  ~Aside() {
    std::error_code ignored;
    // On a full disk its space is needed to say so. What has its name by now is no longer here.
    if (!is_kept_) fs::remove_all(path_, ignored);
    // While still locked, so that nobody else's can be meant.
    if (is_same_file(lock_.value, lock_path_)) fs::remove(lock_path_, ignored);
  }
  Aside(const Aside&) = delete;

  const fs::path& path() const { return path_; }
  /// What is whole outlives this object.
  void keep() { is_kept_ = true; }

 private:
  Descriptor claim(const fs::path& target) {
    create_directories_durably(parent_of(target));
    while (true) {
      // Network file systems lock only regular files, open for writing.
      Descriptor opened(::open(lock_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
      if (opened.value < 0) fail(lock_path_, "create", errno);
      const LockAttempt attempt = try_lock(opened.value, lock_path_);
      if (attempt == LockAttempt::held_elsewhere) {
        throw FileError(fmt::format(
            "{}: another process is writing it at this moment; wait for it, or name another output",
            target.string()));
      }
      if (!is_same_file(opened.value, lock_path_)) continue;  // whoever held it has just removed it
      if (attempt == LockAttempt::taken) remove_left(target);
      return opened;
    }
  }

  static void remove_left(const fs::path& target) {
    std::error_code error;
    for (fs::directory_iterator entry(parent_of(target), error), end; !error && entry != end;
         entry.increment(error)) {
      if (is_left_of(target, entry->path().filename().string())) fs::remove_all(entry->path(), error);
    }
    if (error) fail(parent_of(target), "tidy up", error.value());
  }

  /// Where there are no locks, another process may be writing the same: each has its own.
  static fs::path create(const fs::path& target, Kind kind) {
    for (int again = 0;; ++again) {
      const auto path = beside(target, fmt::format("{}-{}.tmp", ::getpid(), again));
      if (kind == Kind::directory) {
        if (::mkdir(path.c_str(), 0777) == 0) return path;
      } else {
        const Descriptor opened(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        if (opened.value >= 0) return path;
      }
      if (errno != EEXIST) fail(path, "create", errno);
    }
  }

  fs::path lock_path_;
  Descriptor lock_;
  fs::path path_;
  bool is_kept_ = false;
};

/// Gives `aside` a name that is not taken. False: it is taken.
bool rename_to_new(const fs::path& aside, const fs::path& name) {
  if (::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, name.c_str(), RENAME_NOREPLACE) == 0) return true;
  // Some file systems cannot rename so; a directory that is not empty is not replaced even then.
  return errno == EINVAL && ::rename(aside.c_str(), name.c_str()) == 0;
}

}  // namespace

void replace_directory(const fs::path& aside, const fs::path& directory, Replacement replacement) {
  if (replacement == Replacement::exchange &&
      ::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, directory.c_str(), RENAME_EXCHANGE) == 0) {
    sync_directory(parent_of(directory));
    std::error_code ignored;  // the next write deletes it
    fs::remove_all(aside, ignored);
    return;
  }
  const auto old = beside(directory, "old");
  std::error_code error;
  const bool replaces = fs::exists(fs::symlink_status(directory, error));
  if (replaces) {
    fs::remove_all(old, error);
    if (!error) fs::rename(directory, old, error);
    if (error) fail(directory, "replace", error.value());
  }
  fs::rename(aside, directory, error);
  if (error) {
    std::error_code ignored;  // it then still is what it is called
    if (replaces) fs::rename(old, directory, ignored);
    fail(directory, "create", error.value());
  }
  sync_directory(parent_of(directory));
  fs::remove_all(old, error);
}

void write_file_aside(const fs::path& path, std::string_view text) {
  const Aside aside(path, Kind::file);
  write_file(aside.path(), text);
  std::error_code error;
  fs::rename(aside.path(), path, error);
  if (error) fail(path, "create", error.value());
  sync_directory(parent_of(path));
}

void write_aside(const fs::path& directory, const std::function<void(const fs::path& aside)>& write,
                 Existing existing) {
  Aside aside(directory, Kind::directory);
  write(aside.path());
  sync_directory(aside.path());
  try {
    if (existing == Existing::replace)
      replace_directory(aside.path(), directory);
    else if (!rename_to_new(aside.path(), directory))
      fail(directory, "create", errno);
    sync_directory(parent_of(directory));
  } catch (const FileError& error) {
    if (!fs::exists(aside.path())) throw;
    aside.keep();
    fs::path kept = parent_of(directory) / (directory.filename().string() + ".new");
    if (!rename_to_new(aside.path(), kept)) kept = aside.path();
    throw FileError(
        fmt::format("{}; what was to be there is whole, and kept at {}", error.what(), kept.string()));
  }
}

}  // namespace ziptie
