#include "engine/infer/kv_cache.h"

#include <stdexcept>
#include <string>

namespace ziptie {

KvCache::KvCache(Backend& backend, DType dtype, std::int64_t layers, std::int64_t capacity,
                 std::int64_t kv_width)
    : dtype_(dtype), capacity_(capacity), kv_width_(kv_width) {
  if (layers <= 0 || capacity <= 0 || kv_width <= 0)
    throw std::invalid_argument("a KV cache needs layers, room for tokens and a width");
  buffer_ = backend.allocate(size_of(dtype) * 2 * layers * capacity * kv_width);
}

void KvCache::truncate(std::int64_t length) {
  if (length < 0 || length > length_)
    throw std::invalid_argument("a KV cache of " + std::to_string(length_) + " tokens cannot be cut to " +
                                std::to_string(length));
  length_ = length;
}

void KvCache::advance(std::int64_t tokens) {
  if (tokens < 0 || tokens > capacity_ - length_)
    throw std::length_error("the KV cache holds " + std::to_string(length_) + " of " +
                            std::to_string(capacity_) + " tokens, so " + std::to_string(tokens) +
                            " more do not fit");
  length_ += tokens;
}

Tensor KvCache::rows(std::int64_t index) const {
  auto* data = static_cast<std::byte*>(buffer_.data()) + size_of(dtype_) * index * capacity_ * kv_width_;
  return {data, dtype_, 2, {capacity_, kv_width_}};
}

}  // namespace ziptie
