#include "engine/train/progress_line.h"

#include <fmt/core.h>

namespace ziptie {

ProgressLine::ProgressLine(std::int64_t steps, std::int64_t done) : steps_(steps), done_(done) {}

bool ProgressLine::is_time() {
  const auto now = Clock::now();
  if (shown_ && now - *shown_ < std::chrono::seconds(1)) return false;
  shown_ = now;
  return true;
}

std::optional<std::string> ProgressLine::evaluating(std::int64_t step, std::int64_t done, std::int64_t rows) {
  // What comes before the first step says nothing of how long steps take.
  if (step == done_) begin_ = Clock::now();
  if (!is_time()) return std::nullopt;
  return fmt::format("step {}: evaluating, {} of {} rows", step, done, rows);
}

std::optional<std::string> ProgressLine::after(std::int64_t step, const StepResult& result,
                                               double tokens_per_second) {
  if (!is_time() && step != steps_) return std::nullopt;
  const double per_step =
      std::chrono::duration<double>(Clock::now() - begin_).count() / static_cast<double>(step - done_);
  const auto left = static_cast<std::int64_t>(per_step * static_cast<double>(steps_ - step) + 0.5);
  return fmt::format("step {}/{}  loss {:.4f}  lr {:.2e}  grad {:.3g}  {:.0f} tokens/s  ETA {}:{:02}:{:02}",
                     step, steps_, result.loss, result.learning_rate, result.grad_norm, tokens_per_second,
                     left / 3600, left / 60 % 60, left % 60);
}

}  // namespace ziptie
