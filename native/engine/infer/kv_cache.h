#pragma once
#include <cstdint>
#include <vector>

#include "engine/backend/backend.h"

namespace ziptie {

/// Keys and values of the tokens one sequence has gone through, for every layer.
class KvCache {
 public:
  /// Room for `capacity` tokens.
  KvCache(Backend& backend, DType dtype, std::int64_t layers, std::int64_t capacity, std::int64_t kv_width);

  std::int64_t capacity() const { return capacity_; }
  std::int64_t length() const { return length_; }
  /// Forgets all tokens from `length` on. @throws std::invalid_argument when there are fewer
  void truncate(std::int64_t length);
  /// Counts `tokens` rows that were written after the last one. @throws std::length_error beyond `capacity`
  void advance(std::int64_t tokens);

  Tensor keys(std::int64_t layer) const { return rows(2 * layer); }  ///< [capacity, kv_heads · head_dim]
  Tensor values(std::int64_t layer) const {
    return rows(2 * layer + 1);
  }  ///< [capacity, kv_heads · head_dim]

 private:
  Tensor rows(std::int64_t index) const;

  DType dtype_;
  std::int64_t capacity_, kv_width_, length_ = 0;
  Buffer buffer_;
};

}  // namespace ziptie
