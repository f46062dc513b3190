#pragma once
#include <cstdint>
#include <filesystem>

namespace ziptie {

/// Whether `path` still is the file behind `descriptor`; whoever held it in between may have removed or
/// renamed it.
bool is_same_file(int descriptor, const std::filesystem::path& path);

enum class LockAttempt : std::uint8_t {
  taken,           ///< until the descriptor is closed
  held_elsewhere,  ///< by another process, or another descriptor
  unavailable      ///< the file system has no locks, or none left
};

/// Tries to take the system's lock on a regular file that is open for writing, which is what network file
/// systems ask for; `path` is for messages. @throws FileError
LockAttempt try_lock(int descriptor, const std::filesystem::path& path);

}  // namespace ziptie
