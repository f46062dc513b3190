#pragma once
#include <initializer_list>
#include <vector>

#include "engine/backend/backend.h"

namespace ziptie {

/// Memory of one pass over a batch: handed out in order, taken back all at once. The second pass of a size
/// allocates nothing.
class Arena {
 public:
  explicit Arena(Backend& backend) : backend_(backend) {}

  /// Takes everything back; tensors handed out before are no longer valid.
  void reset();
  /// Not initialised.
  Tensor take(DType dtype, std::initializer_list<std::int64_t> shape);

  /// A point to return to with `release`.
  struct Mark {
    std::size_t block, used, total;
  };
  Mark mark() const { return {block_, used_, total_}; }
  /// Takes back what was handed out since `mark`.
  void release(Mark mark) {
    block_ = mark.block;
    used_ = mark.used;
    total_ = mark.total;
  }
  /// The most bytes that were handed out at a time since the beginning.
  std::size_t peak() const { return peak_; }

 private:
  Backend& backend_;
  std::vector<Buffer> blocks_;
  std::size_t block_ = 0, used_ = 0;
  std::size_t total_ = 0, peak_ = 0;  ///< bytes handed out: now, at most
};

}  // namespace ziptie
