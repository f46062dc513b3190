#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "engine/io/safetensors.h"

struct TokenRow {
  std::vector<std::uint32_t> input_ids;
  std::vector<std::uint8_t> loss_mask;
};

template <class T>
ziptie::TensorContents one_dimensional(const char* name, ziptie::DType dtype, const std::vector<T>& values) {
  return {name, dtype, {static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span(values))};
}

/// With `pack_offsets` when there are any.
inline void write_shard(const std::filesystem::path& path, const std::vector<TokenRow>& rows,
                        const std::vector<std::uint64_t>& pack_offsets = {}) {
  std::vector<std::uint32_t> ids;
  std::vector<std::uint8_t> mask;
  std::vector<std::uint64_t> offsets = {0};
  for (const TokenRow& row : rows) {
    ids.insert(ids.end(), row.input_ids.begin(), row.input_ids.end());
    mask.insert(mask.end(), row.loss_mask.begin(), row.loss_mask.end());
    offsets.push_back(ids.size());
  }
  std::vector<ziptie::TensorContents> tensors = {one_dimensional("input_ids", ziptie::DType::u32, ids),
                                                 one_dimensional("loss_mask", ziptie::DType::u8, mask),
                                                 one_dimensional("row_offsets", ziptie::DType::u64, offsets)};
  if (!pack_offsets.empty())
    tensors.push_back(one_dimensional("pack_offsets", ziptie::DType::u64, pack_offsets));
  ziptie::write_safetensors(path, tensors, {});
}
