#include "engine/model/arena.h"

#include <algorithm>

namespace ziptie {

void Arena::reset() {
  if (blocks_.size() > 1) {
    blocks_.clear();
    blocks_.push_back(backend_.allocate(peak_));
  }
  block_ = used_ = total_ = 0;
}

Tensor Arena::take(DType dtype, std::initializer_list<std::int64_t> shape) {
  Tensor tensor{nullptr, dtype, static_cast<int>(shape.size()), {}};
  std::ranges::copy(shape, tensor.shape.begin());
  std::size_t bytes = size_of(dtype);
  for (const std::int64_t extent : shape) bytes *= extent;
  bytes = (bytes + 63) / 64 * 64;
  constexpr std::size_t smallest_block = std::size_t{1} << 20;
  while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].bytes()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) blocks_.push_back(backend_.allocate(std::max(bytes, smallest_block)));
  tensor.data = static_cast<std::byte*>(blocks_[block_].data()) + used_;
  used_ += bytes;
  total_ += bytes;
  peak_ = std::max(peak_, total_);
  return tensor;
}

}  // namespace ziptie
