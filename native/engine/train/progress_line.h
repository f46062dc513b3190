#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/train/trainer.h"

namespace ziptie {

/// The line about a step that people read: `step 10/100  loss 3.2145  lr 1.0e-04  grad 1.23  4321 tokens/s
/// ETA 0:01:30`.
class ProgressLine {
 public:
  /// @param steps of the whole run; @param done before this process began
  ProgressLine(std::int64_t steps, std::int64_t done);

  /// The line to show after `step`, at most one a second, but always the last.
  std::optional<std::string> after(std::int64_t step, const StepResult& result, double tokens_per_second);

  /// The line to show while evaluating after `step`, at most one a second.
  std::optional<std::string> evaluating(std::int64_t step, std::int64_t done, std::int64_t rows);

 private:
  using Clock = std::chrono::steady_clock;

  /// Whether a second has passed since the last line; if so, another one is shown now.
  bool is_time();

  std::int64_t steps_, done_;
  Clock::time_point begin_ = Clock::now();
  std::optional<Clock::time_point> shown_;
};

}  // namespace ziptie
