#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace ziptie::cpu {

/// Scratch memory that ops share: one block per thread, one for the whole op, and one for an op that calls
/// another. Grows to what was asked for and stays; contents are what the last op left.
class Workspace {
 public:
  explicit Workspace(int threads) : blocks_(threads + 2), threads_(threads) {}

  /// `elements` for the whole op. Not to be called from a task.
  template <class T>
  T* shared(std::int64_t elements) {
    return static_cast<T*>(blocks_[threads_].reserve(elements * sizeof(T)));
  }
  /// The same for what is to outlive the ops that an op calls.
  template <class T>
  T* outer(std::int64_t elements) {
    return static_cast<T*>(blocks_[threads_ + 1].reserve(elements * sizeof(T)));
  }
  /// Makes room in every thread's block, so that tasks need not allocate. Not to be called from a task.
  template <class T>
  void reserve_per_thread(std::int64_t elements) {
    for (int thread = 0; thread < threads_; ++thread) blocks_[thread].reserve(elements * sizeof(T));
  }
  template <class T>
  T* of_thread(int thread) const {
    return static_cast<T*>(blocks_[thread].memory.get());
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  struct Block {
    std::unique_ptr<void, Free> memory;
    std::size_t bytes = 0;

    void* reserve(std::size_t wanted) {
      if (wanted > bytes) {
        const std::size_t rounded = (wanted + 4095) / 4096 * 4096;
        memory.reset(std::aligned_alloc(64, rounded));
        bytes = memory ? rounded : 0;
        if (!memory) throw std::bad_alloc();
      }
      return memory.get();
    }
  };
  std::vector<Block> blocks_;
  int threads_;
};

}  // namespace ziptie::cpu
