#pragma once
#include <cstdint>
#include <vector>

#include "engine/backend/backend.h"

namespace ziptie {

/// Keys and values of the tokens that several sequences have gone through, for every layer: a slot for each
/// sequence.
class KvCache {
 public:
  /// Room for `slots` sequences of up to `capacity` tokens. @throws std::bad_alloc
  KvCache(Backend& backend, DType dtype, std::int64_t layers, std::int64_t slots, std::int64_t capacity,
          std::int64_t kv_width);

  std::int64_t slots() const { return static_cast<std::int64_t>(lengths_.size()); }
  std::int64_t capacity() const { return capacity_; }
  std::int64_t length(std::int64_t slot) const { return lengths_.at(slot); }
  /// Forgets a slot's tokens from `length` on. @throws std::invalid_argument when there are fewer
  void truncate(std::int64_t slot, std::int64_t length);
  /// @throws std::length_error when `tokens` more do not fit
  void check_room(std::int64_t slot, std::int64_t tokens) const;
  /// Counts `tokens` rows that were written after the slot's last one. @throws std::length_error
  void advance(std::int64_t slot, std::int64_t tokens);

  Tensor keys(std::int64_t layer) const {
    return rows(2 * layer);
  }  ///< [slots, capacity, kv_heads · head_dim]
  Tensor values(std::int64_t layer) const { return rows(2 * layer + 1); }  ///< likewise

 private:
  Tensor rows(std::int64_t index) const;

  DType dtype_;
  std::int64_t capacity_, kv_width_;
  std::vector<std::int64_t> lengths_;
  Buffer buffer_;
};

}  // namespace ziptie
