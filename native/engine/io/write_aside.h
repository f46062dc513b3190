#pragma once
// Files and directories that are there whole or not at all: written aside, synced, renamed.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

namespace ziptie {

// What is written aside lies at `DIRECTORY/.NAME.*.tmp` until it is whole and gets its name. Whoever writes
// it holds a lock on `DIRECTORY/.NAME.lock`, and another write to the same name, in whatever process, is
// refused. What an earlier, killed write left is deleted by the next, on file systems that have locks to tell
// by. When writing fails, nothing half-written is left.

/// Writes a whole file aside. @throws FileError
void write_file_aside(const std::filesystem::path& path, std::string_view text);

/// What becomes of a directory that has the name already.
enum class Existing : std::uint8_t { replace, refuse };

/// Lets `write` fill a directory aside. What is whole and then cannot get its name is kept as `NAME.new`, and
/// the error says so. @throws FileError; what `write` throws
void write_aside(const std::filesystem::path& directory,
                 const std::function<void(const std::filesystem::path& aside)>& write,
                 Existing existing = Existing::replace);

/// How a directory takes another's place: at once, or, on file systems that cannot, the old one stepping
/// aside as `.NAME.old` until the new one has its name.
enum class Replacement : std::uint8_t { exchange, in_turn };

/// Gives the finished directory `aside` the name `directory`, of which there may be one, and deletes that; at
/// no time is neither of them whole. @throws FileError; `directory` then is what it was
void replace_directory(const std::filesystem::path& aside, const std::filesystem::path& directory,
                       Replacement replacement = Replacement::exchange);

}  // namespace ziptie
