#include "engine/infer/kv_cache.h"

#include <stdexcept>
#include <string>

namespace ziptie {

KvCache::KvCache(Backend& backend, DType dtype, std::int64_t layers, std::int64_t slots,
                 std::int64_t capacity, std::int64_t kv_width)
    : dtype_(dtype), capacity_(capacity), kv_width_(kv_width) {
  if (layers <= 0 || slots <= 0 || capacity <= 0 || kv_width <= 0)
    throw std::invalid_argument("a KV cache needs layers, slots, room for tokens and a width");
  lengths_.resize(slots);
  buffer_ = backend.allocate(size_of(dtype) * 2 * layers * slots * capacity * kv_width);
}

void KvCache::truncate(std::int64_t slot, std::int64_t length) {
  std::int64_t& held = lengths_.at(slot);
  if (length < 0 || length > held)
    throw std::invalid_argument("a KV cache of " + std::to_string(held) + " tokens cannot be cut to " +
                                std::to_string(length));
  held = length;
}

void KvCache::check_room(std::int64_t slot, std::int64_t tokens) const {
  const std::int64_t held = length(slot);
  if (tokens < 0 || tokens > capacity_ - held)
    throw std::length_error("the KV cache holds " + std::to_string(held) + " of " +
                            std::to_string(capacity_) + " tokens, so " + std::to_string(tokens) +
                            " more do not fit");
}

void KvCache::advance(std::int64_t slot, std::int64_t tokens) {
  check_room(slot, tokens);
  lengths_.at(slot) += tokens;
}

Tensor KvCache::rows(std::int64_t index) const {
  auto* data =
      static_cast<std::byte*>(buffer_.data()) + size_of(dtype_) * index * slots() * capacity_ * kv_width_;
  return {data, dtype_, 3, {slots(), capacity_, kv_width_}};
}

}  // namespace ziptie
