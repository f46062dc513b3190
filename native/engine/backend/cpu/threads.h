#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace ziptie::cpu {

/// Runs independent tasks on a team of threads, the caller's among them. How work is cut into tasks must
/// follow from its shape alone: then results do not depend on the number of threads.
///
/// Not OpenMP's parallel loops: their barrier waits for every thread of the team, so that on a busy machine
/// each loop costs a time slice. Here the caller waits only for tasks that another thread has taken; one that
/// does not get to run takes none.
class Threads {
 public:
  /// @throws std::system_error when the system gives no more threads
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;

  int count() const { return static_cast<int>(workers_.size()) + 1; }

  /// task(index, thread) for every index in [0, tasks); `thread` < count() is the one that runs it. Rethrows
  /// the first exception of a task; the tasks after it may not have run. One caller at a time.
  template <class F>
  void run(std::int64_t tasks, const F& task) const {
    run_erased(tasks, &task, [](const void* f, std::int64_t index, int thread) {
      (*static_cast<const F*>(f))(index, thread);
    });
  }

  /// task(begin, end, thread) for consecutive blocks of [0, n) of at most `block`.
  template <class F>
  void run_blocks(std::int64_t n, std::int64_t block, const F& task) const {
    run((n + block - 1) / block, [&](std::int64_t index, int thread) {
      task(index * block, std::min(n, (index + 1) * block), thread);
    });
  }

 private:
  using Invoke = void (*)(const void* task, std::int64_t index, int thread);
  /// What is being run. Written by the caller while nobody is `inside`.
  struct Job {
    const void* task = nullptr;
    Invoke invoke = nullptr;
    std::int64_t tasks = 0;
    std::exception_ptr failure;
  };

  void run_erased(std::int64_t tasks, const void* task, Invoke invoke) const;
  void work(int thread) const;
  void end_workers();
  void take_tasks(int thread) const;

  std::vector<std::jthread> workers_;
  mutable Job job_;
  alignas(64) mutable std::atomic<std::int64_t> next_ = 0;  ///< the next task to be taken
  alignas(64) mutable std::atomic<int> inside_ = 0;         ///< workers that may look at `job_`
  mutable std::atomic<bool> open_ = false;                  ///< workers may join
  mutable std::atomic<bool> failed_ = false;
  alignas(64) mutable std::atomic<std::uint32_t> jobs_ =
      0;  ///< how many there have been; what sleepers wait on
  mutable std::atomic<int> asleep_ = 0;
  std::atomic<bool> ending_ = false;
};

}  // namespace ziptie::cpu
