#include "engine/io/file_lock.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "engine/io/durable_file.h"

namespace ziptie {

bool is_same_file(int descriptor, const std::filesystem::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

LockAttempt try_lock(int descriptor, const std::filesystem::path& path) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    switch (errno) {
      case EINTR:
        continue;
      case EWOULDBLOCK:
        return LockAttempt::held_elsewhere;
      case ENOLCK:
      case ENOSYS:
      case EOPNOTSUPP:
        return LockAttempt::unavailable;
      default:
        fail(path, "lock", errno);
    }
  }
  return LockAttempt::taken;
}

}  // namespace ziptie
