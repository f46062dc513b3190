#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>

namespace ziptie::cpu {

/// Runs independent tasks on a team of threads. How work is cut into tasks must follow from its shape alone:
/// then results do not depend on the number of threads.
class Threads {
 public:
  explicit Threads(int count) : count_(std::max(1, count)) {}

  int count() const { return count_; }

  /// task(index, thread) for every index in [0, tasks); `thread` < count() is the one that runs it.
  /// Rethrows what a task threw, after all have ended.
  template <class F>
  void run(std::int64_t tasks, const F& task) const {
    if (tasks > 1 && count_ > 1) {
      std::exception_ptr failure;
#pragma omp parallel for num_threads(count_) schedule(dynamic, 1)
      for (std::int64_t index = 0; index < tasks; ++index) {
        try {
          task(index, omp_get_thread_num());
        } catch (...) {
#pragma omp critical(ziptie_task_failure)
          failure = std::current_exception();
        }
      }
      if (failure) std::rethrow_exception(failure);
      return;
    }
    // Outside a parallel region oneDNN would start a team of its own, whose size changes how it sums.
    const Alone alone;
    for (std::int64_t index = 0; index < tasks; ++index) task(index, 0);
  }

  /// task(begin, end, thread) for consecutive blocks of [0, n) of at most `block`.
  template <class F>
  void run_blocks(std::int64_t n, std::int64_t block, const F& task) const {
    run((n + block - 1) / block, [&](std::int64_t index, int thread) {
      task(index * block, std::min(n, (index + 1) * block), thread);
    });
  }

 private:
  struct Alone {
    Alone() { omp_set_num_threads(1); }
    ~Alone() { omp_set_num_threads(previous); }
    int previous = omp_get_max_threads();
  };

  int count_;
};

}  // namespace ziptie::cpu
