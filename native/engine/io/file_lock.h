#pragma once
#include <filesystem>

namespace ziptie {

/// Whether `path` still is the file behind `descriptor`; whoever held it in between may have removed or
/// renamed it.
bool is_same_file(int descriptor, const std::filesystem::path& path);

/// Whether another process, or another open descriptor, holds the system's lock on the file or directory
/// behind `descriptor`. If not, this one holds it from now on until it is closed, on file systems that have
/// such locks.
bool is_locked_elsewhere(int descriptor);

}  // namespace ziptie
