#pragma once
#include <filesystem>
#include <string>

namespace ziptie {

/// A run directory belongs to one living engine: `run.lock` says which, `{"pid":…,"start_time":…}` with the
/// start time of field 22 of /proc/PID/stat, because the system uses pids again. Gone when the engine ends; a
/// lock whose owner was killed is taken over.
class RunLock {
 public:
  /// @throws FileError naming the process that owns the directory
  explicit RunLock(const std::filesystem::path& run_directory);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Field 22 of /proc/PID/stat, clock ticks since boot; 0 when there is no such process or it is dead and only
/// waits for its parent.
unsigned long long process_start_time(int pid);

}  // namespace ziptie
