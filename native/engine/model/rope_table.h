#pragma once
#include <vector>

#include "engine/backend/backend.h"
#include "engine/model/config.h"

namespace ziptie {

/// The angles that rotary embedding turns each pair of a head by, per position: `inv_freq` of transformers
/// [head_dim / 2], computed in float32 as it does, because models were trained with its rounding.
std::vector<float> rope_frequencies(const LlamaConfig& config);

/// Cosines and sines of those angles on the device, as many positions as were asked for so far.
class RopeTable {
 public:
  /// @param dtype f32 or f64
  RopeTable(const LlamaConfig& config, Backend& backend, DType dtype)
      : frequencies_(rope_frequencies(config)), backend_(backend), dtype_(dtype) {}

  /// Makes the table reach `positions`.
  void reach(std::int64_t positions);
  /// [positions, head_dim]: head_dim/2 cosines, then as many sines.
  const Tensor& tensor() const { return table_; }

 private:
  template <class T>
  void fill(std::int64_t positions);

  std::vector<float> frequencies_;
  Backend& backend_;
  DType dtype_;
  Buffer buffer_;
  Tensor table_;
};

}  // namespace ziptie
