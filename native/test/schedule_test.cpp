#include "engine/train/schedule.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <numbers>

using namespace ziptie;
using doctest::Approx;

namespace {

/// transformers' `get_cosine_with_min_lr_schedule_with_warmup`; its step counts from 0.
double transformers_cosine_with_min_lr(int current_step, int warmup, int total, double min_lr_rate) {
  if (current_step < warmup) return double(current_step) / std::max(1, warmup);
  const double progress = double(current_step - warmup) / std::max(1, total - warmup);
  const double factor = 0.5 * (1.0 + std::cos(std::numbers::pi * 0.5 * 2.0 * progress));
  return std::max(0.0, factor * (1 - min_lr_rate) + min_lr_rate);
}

}  // namespace

TEST_CASE("Warm-up rises from its first step to the peak") {
  for (const auto name : {ScheduleName::constant_with_warmup, ScheduleName::linear, ScheduleName::cosine,
                          ScheduleName::cosine_with_min_lr}) {
    const Schedule schedule{name, 4, 0.1, 20};
    for (int step = 1; step <= 4; ++step) CHECK(learning_rate_factor(schedule, step) == step / 4.0);
  }
}

TEST_CASE("After warm-up the factor is transformers' at the same step") {
  for (const int warmup : {0, 1, 7}) {
    const Schedule schedule{ScheduleName::cosine_with_min_lr, warmup, 0.1, 50};
    for (int step = warmup + 1; step <= 50; ++step) {
      CHECK(learning_rate_factor(schedule, step) ==
            Approx(transformers_cosine_with_min_lr(step - 1, warmup, 50, 0.1)).epsilon(1e-14));
    }
  }
}

TEST_CASE("Linear falls evenly and cosine as a half wave; both end one step above zero") {
  const Schedule linear{ScheduleName::linear, 2, 0, 12};
  CHECK(learning_rate_factor(linear, 3) == 1);
  CHECK(learning_rate_factor(linear, 8) == Approx(0.5));
  CHECK(learning_rate_factor(linear, 12) == Approx(0.1));
  const Schedule cosine{ScheduleName::cosine, 2, 0, 12};
  CHECK(learning_rate_factor(cosine, 3) == 1);
  CHECK(learning_rate_factor(cosine, 8) == Approx(0.5));
  CHECK(learning_rate_factor(cosine, 12) == Approx(0.5 * (1 + std::cos(0.9 * std::numbers::pi))));
}

TEST_CASE("Constant has no warm-up") {
  const Schedule schedule{ScheduleName::constant, 5, 0, 10};
  for (const int step : {1, 5, 10}) CHECK(learning_rate_factor(schedule, step) == 1);
}

TEST_CASE("A warm-up as long as the run or longer never divides by zero") {
  CHECK(learning_rate_factor({ScheduleName::cosine, 10, 0, 10}, 10) == 1);
  CHECK(learning_rate_factor({ScheduleName::linear, 20, 0, 10}, 10) == 0.5);
}
