#include <fmt/core.h>

#include <cstdio>

#include "cli/commands.h"
#include "cli/stop_request.h"
#include "engine/train/events.h"
#include "engine/train/plan.h"
#include "engine/train/run.h"

namespace ziptie {

int train_command(const TrainOptions& options) {
  stop_on_signals();
  RunControl control;
  control.resume = options.resume;
  control.stop = [] { return stop_requested(); };
  // Not fmt::print, which throws where a full disk or a closed pipe takes no more: the run is worth more than
  // its log.
  control.log = [](const std::string& line) {
    std::fputs(fmt::format("{} {}\n", utc_now(), line).c_str(), stderr);
  };
  run_training(read_plan(options.plan), control);
  return 0;
}

}  // namespace ziptie
