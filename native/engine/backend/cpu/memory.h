#pragma once
#include <cstdint>
#include <filesystem>

namespace ziptie::cpu {

/// Bytes of memory that this process may use: what the machine has, or less where the control groups (v1 or
/// v2) that it is in, or those above them, are limited, as containers are.
/// @param groups which groups those are: /proc/self/cgroup
/// @param root where groups are mounted: /sys/fs/cgroup
std::uint64_t usable_memory(const std::filesystem::path& groups = "/proc/self/cgroup",
                            const std::filesystem::path& root = "/sys/fs/cgroup");

/// The most bytes of memory that this process has held so far (VmHWM), 0 where the system does not tell.
std::uint64_t peak_memory();

}  // namespace ziptie::cpu
