#include "engine/backend/cpu/threads.h"

#include <fmt/core.h>
#include <immintrin.h>

#include <system_error>

namespace ziptie::cpu {

namespace {

/// About 50 µs: longer than the gaps between the ops of a training step, shorter than anyone would notice.
constexpr int spins_before_sleep = 2000;

}  // namespace

Threads::Threads(int count) {
  try {
    for (int thread = 1; thread < count; ++thread) workers_.emplace_back([this, thread] { work(thread); });
  } catch (const std::system_error& error) {
    const auto started = workers_.size();
    end_workers();
    throw std::system_error(
        error.code(), fmt::format("only {} of {} threads could be started; set fewer", started + 1, count));
  } catch (...) {
    // No destructor will run, and the workers would be waited for for ever.
    end_workers();
    throw;
  }
}

Threads::~Threads() { end_workers(); }

void Threads::end_workers() {
  ending_ = true;
  ++jobs_;
  jobs_.notify_all();
  workers_.clear();
}

void Threads::take_tasks(int thread) const {
  for (std::int64_t index; (index = next_.fetch_add(1, std::memory_order_relaxed)) < job_.tasks;) try {
      job_.invoke(job_.task, index, thread);
    } catch (...) {
      next_ = job_.tasks;
      if (!failed_.exchange(true)) job_.failure = std::current_exception();
    }
}

void Threads::run_erased(std::int64_t tasks, const void* task, Invoke invoke) const {
  if (tasks <= 0) return;
  if (tasks == 1 || workers_.empty()) {
    for (std::int64_t index = 0; index < tasks; ++index) invoke(task, index, 0);
    return;
  }
  job_ = {task, invoke, tasks, nullptr};
  failed_ = false;
  next_ = 0;
  open_ = true;
  ++jobs_;
  if (asleep_ > 0) jobs_.notify_all();
  take_tasks(0);
  // A worker counts itself in before it looks at `open_`: from here on it sees that it is closed, or is
  // waited for.
  open_ = false;
  for (int spins = 0; inside_ > 0; ++spins) {
    if (spins < spins_before_sleep)
      _mm_pause();
    else
      std::this_thread::yield();
  }
  if (job_.failure) std::rethrow_exception(job_.failure);
}

void Threads::work(int thread) const {
  std::uint32_t seen = 0;
  while (true) {
    for (int spins = 0; jobs_ == seen && spins < spins_before_sleep; ++spins) _mm_pause();
    if (jobs_ == seen) {
      ++asleep_;
      jobs_.wait(seen);
      --asleep_;
    }
    seen = jobs_;
    if (ending_) return;
    ++inside_;
    if (open_) take_tasks(thread);
    --inside_;
  }
}

}  // namespace ziptie::cpu
