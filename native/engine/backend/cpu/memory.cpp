#include "engine/backend/cpu/memory.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace ziptie::cpu {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

std::uint64_t physical_memory() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// A file that holds a number; `max`, or no such file, is no limit.
std::uint64_t limit_in(const fs::path& file) {
  std::ifstream stream(file);
  std::uint64_t limit = unlimited;
  return stream >> limit ? limit : unlimited;
}

/// The least of the limits of the group `path`, `/a/b`, and those above it. A container may see its own group
/// as the root while its path is that of outside: groups that are not there do not limit.
std::uint64_t least_limit(const fs::path& mounted, fs::path path, const char* file) {
  std::uint64_t least = limit_in(mounted / file);
  for (path = path.relative_path(); !path.empty(); path = path.parent_path())
    least = std::min(least, limit_in(mounted / path / file));
  return least;
}

}  // namespace

std::uint64_t usable_memory(const fs::path& groups, const fs::path& root) {
  std::uint64_t usable = physical_memory();
  std::ifstream file(groups);
  // `HIERARCHY:CONTROLLERS:PATH`; v2 is hierarchy 0, without controllers.
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const std::string path = line.substr(second + 1);
    if (controllers == ",,")
      usable = std::min(usable, least_limit(root, path, "memory.max"));
    else if (controllers.find(",memory,") != std::string::npos)
      usable = std::min(usable, least_limit(root / "memory", path, "memory.limit_in_bytes"));
  }
  return usable;
}

std::uint64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

}  // namespace ziptie::cpu
