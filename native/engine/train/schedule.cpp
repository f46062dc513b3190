#include "engine/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ziptie {

double learning_rate_factor(const Schedule& schedule, std::int64_t step) {
  if (schedule.name == ScheduleName::constant) return 1;
  if (step <= schedule.warmup_steps) {
    return static_cast<double>(step) / static_cast<double>(schedule.warmup_steps);
  }
  const auto decay_steps =
      static_cast<double>(std::max<std::int64_t>(1, schedule.steps - schedule.warmup_steps));
  const double progress = static_cast<double>(step - 1 - schedule.warmup_steps) / decay_steps;
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * progress));
  switch (schedule.name) {
    case ScheduleName::constant:
    case ScheduleName::constant_with_warmup:
      return 1;
    case ScheduleName::linear:
      return std::max(0.0, 1 - progress);
    case ScheduleName::cosine:
      return std::max(0.0, cosine);
    case ScheduleName::cosine_with_min_lr:
      return std::max(0.0, cosine * (1 - schedule.min_lr_rate) + schedule.min_lr_rate);
  }
  return 1;
}

}  // namespace ziptie
