#include "cli/stop_request.h"

#include <atomic>
#include <csignal>

namespace ziptie {
namespace {

std::atomic<bool> requested = false;
static_assert(std::atomic<bool>::is_always_lock_free, "set from a signal handler");

void request_stop(int) { requested = true; }

}  // namespace

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

bool stop_requested() { return requested.load(); }

}  // namespace ziptie
