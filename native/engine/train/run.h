#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include "engine/train/plan.h"

namespace ziptie {

/// A run cannot begin, or cannot go on; says what, where and what to do.
class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct RunOutcome {
  bool stopped = false;  ///< on request, before the last step or its evaluation
  std::int64_t step = 0;
  std::optional<double> loss, evaluation_loss;
  std::filesystem::path output;  ///< what was trained; empty when stopped
};

struct RunControl {
  bool resume = false;
  std::function<bool()> stop;  ///< asked all the time: within micro-batches, while reading, …
  std::function<void(const std::string&)> log;  ///< a line for people
};

/// Carries out a plan in its run directory: takes the lock, trains, writes events and checkpoints and in the
/// end the model or the adapter. A run that fails has said so in events.jsonl, unless the directory belongs
/// to another run.
/// @throws RunError, FileError, std::bad_alloc
RunOutcome run_training(const Plan& plan, const RunControl& control);

}  // namespace ziptie
