#include <fmt/core.h>

#include <atomic>
#include <csignal>
#include <cstdio>

#include "cli/commands.h"
#include "engine/train/events.h"
#include "engine/train/plan.h"
#include "engine/train/run.h"

namespace ziptie {
namespace {

std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free, "set from a signal handler");

void request_stop(int) { stop_requested = true; }

void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = request_stop;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  // A closed terminal or log must not end a run.
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  // A limit on the size of files is an error like a full disk, not a reason to die.
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace

int train_command(const TrainOptions& options) {
  stop_on_signals();
  RunControl control;
  control.resume = options.resume;
  control.stop = [] { return stop_requested.load(); };
  // Not fmt::print, which throws where a full disk or a closed pipe takes no more: the run is worth more than
  // its log.
  control.log = [](const std::string& line) {
    std::fputs(fmt::format("{} {}\n", utc_now(), line).c_str(), stderr);
  };
  run_training(read_plan(options.plan), control);
  return 0;
}

}  // namespace ziptie
