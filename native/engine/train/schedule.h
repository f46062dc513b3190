#pragma once
#include <cstdint>

namespace ziptie {

/// The learning-rate schedules of transformers' `get_scheduler`, under its names.
enum class ScheduleName { constant, constant_with_warmup, linear, cosine, cosine_with_min_lr };

struct Schedule {
  ScheduleName name = ScheduleName::constant;
  std::int64_t warmup_steps = 0;
  double min_lr_rate = 0;  ///< the floor as a share of the peak; `cosine_with_min_lr` only
  std::int64_t steps = 1;  ///< optimizer steps of the whole run
};

/// What the peak learning rate is multiplied by at optimizer step `step`, which counts from 1.
///
/// Within warm-up it is `step / warmup_steps`: the first step already learns and step `warmup_steps` has the
/// peak. transformers' lambda counts from 0 and spends its first step on a rate of zero. After warm-up the
/// factor is the one that transformers uses at the same step, lambda(step - 1). `constant` has no warm-up.
double learning_rate_factor(const Schedule& schedule, std::int64_t step);

}  // namespace ziptie
