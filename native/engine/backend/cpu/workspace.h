#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace ziptie::cpu {

/// Scratch memory that ops share: one block per thread and one for the whole op. Grows to what was asked for
/// and stays; contents are what the last op left.
class Workspace {
 public:
  explicit Workspace(int threads) : blocks_(threads + 1) {}

  /// `elements` for the whole op. Not to be called from a task.
  template <class T>
  T* shared(std::int64_t elements) {
    return static_cast<T*>(blocks_.back().reserve(elements * sizeof(T)));
  }
  /// Makes room in every thread's block, so that tasks need not allocate. Not to be called from a task.
  template <class T>
  void reserve_per_thread(std::int64_t elements) {
    for (std::size_t thread = 0; thread + 1 < blocks_.size(); ++thread)
      blocks_[thread].reserve(elements * sizeof(T));
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
};

}  // namespace ziptie::cpu
