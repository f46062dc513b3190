#pragma once
// The engine's program as a process of its own.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "temporary_directory.h"
#include "tiny_run.h"

/// Starts the engine with its output in `log`; `file_limit` bounds every file that it writes, like a full
/// disk, and `memory_limit` its address space, of which every thread's stack takes some.
inline pid_t start(std::vector<std::string> arguments, const std::filesystem::path& log,
                   rlim_t file_limit = RLIM_INFINITY, rlim_t memory_limit = RLIM_INFINITY) {
  arguments.insert(arguments.begin(), ZIPTIE_ENGINE);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    if (file_limit != RLIM_INFINITY) {
      const rlimit limit = {file_limit, file_limit};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (memory_limit != RLIM_INFINITY) {
      const rlimit limit = {memory_limit, memory_limit};
      ::setrlimit(RLIMIT_AS, &limit);
    }
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return pid;
}

/// Exit status, or minus the signal that ended it.
inline int wait_for(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

inline int call(const std::vector<std::string>& arguments, const std::filesystem::path& log) {
  return wait_for(start(arguments, log));
}

/// Woken by what happens in a directory.
class DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::filesystem::path& directory,
                          std::uint32_t changes = IN_MODIFY | IN_CREATE)
      : descriptor_(::inotify_init1(IN_CLOEXEC)) {
    REQUIRE(::inotify_add_watch(descriptor_, directory.c_str(), changes) >= 0);
  }
  ~DirectoryWatch() { ::close(descriptor_); }
  DirectoryWatch(const DirectoryWatch&) = delete;

  /// Waits until something has changed; false once `milliseconds` have gone by without.
  bool wait(int milliseconds) const {
    pollfd waiting = {descriptor_, POLLIN, 0};
    if (::poll(&waiting, 1, milliseconds) != 1) return false;
    char changes[4096];
    return ::read(descriptor_, changes, sizeof changes) > 0;
  }

  /// Waits until `condition` holds.
  void wait_until(const std::function<bool()>& condition) const {
    while (!condition()) REQUIRE(wait(60'000));
  }

 private:
  int descriptor_;
};

/// Waits until the run says that it has taken `step`, or that it is over.
inline void wait_for_step(const std::filesystem::path& run, int step) {
  DirectoryWatch(run).wait_until([&] {
    for (const nlohmann::json& event : read_events(run)) {
      if (event["event"] == "step" && event["step"] >= step) return true;
      if (event["event"] == "run_failed" || event["event"] == "run_finished") return true;
    }
    return false;
  });
}

/// The text of each step's loss and gradient norm; steps that were taken again after a kill must give the
/// same.
inline std::map<int, std::string> losses(const std::filesystem::path& run) {
  std::map<int, std::string> losses;
  for (const nlohmann::json& event : read_events(run)) {
    if (event["event"] != "step") continue;
    const std::string text = event["loss"].dump() + " " + event["grad_norm"].dump();
    const auto [known, added] = losses.emplace(event["step"], text);
    CHECK(known->second == text);
  }
  return losses;
}

/// A plan, and a place for the runs that are started from it.
struct EngineRuns {
  TemporaryDirectory directory;
  nlohmann::json plan = tiny_plan(directory.path(), 60);
  std::filesystem::path log = directory / "engine.log";

  /// Into the run directory `name`. Returns its path.
  std::filesystem::path write_plan(const std::string& name) {
    plan["output"] = (directory / name).string();
    std::filesystem::create_directories(directory / name);
    std::ofstream(directory / name / "plan.json") << plan;
    return directory / name / "plan.json";
  }
};
