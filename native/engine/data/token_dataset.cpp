#include "engine/data/token_dataset.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace ziptie {
namespace {

/// The tensor `name` of a shard, which must be one-dimensional. @throws FileError
const TensorInfo& vector_of(const SafetensorsFile& file, const char* name, DType dtype) {
  const TensorInfo& tensor = file.at(name);
  if (tensor.dtype != dtype || tensor.shape.size() != 1) {
    throw FileError(fmt::format("{}: tensor '{}' is {} {}, token shards hold {} of one dimension",
                                file.path().string(), name, safetensors_name(tensor.dtype),
                                shape_text(tensor.shape), safetensors_name(dtype)));
  }
  return tensor;
}

/// A safetensors file aligns nothing.
template <class T>
T element(const TensorInfo& tensor, std::uint64_t index) {
  T value;
  std::memcpy(&value, tensor.bytes.data() + index * sizeof value, sizeof value);
  return value;
}

}  // namespace

std::int64_t TokenBatch::supervised_tokens() const {
  return std::count(loss_mask.begin(), loss_mask.end(), std::uint8_t{1});
}

TokenDataset::TokenDataset(std::span<const std::filesystem::path> shards, std::int64_t vocab_size,
                           std::int64_t max_length, Truncation truncation) {
  for (const auto& path : shards) {
    shards_.emplace_back(path);
    add_shard(static_cast<std::uint32_t>(shards_.size() - 1), vocab_size, max_length, truncation);
  }
  if (rows_.empty()) {
    throw FileError(fmt::format("{}: none of the {} rows of this data set has a token that carries loss{}",
                                shards.empty() ? "" : shards.front().string(), counts_.total,
                                counts_.too_long > 0 ? fmt::format("; {} are longer than max_length, {}",
                                                                   counts_.too_long, max_length)
                                                     : fmt::format(" within max_length, {}", max_length)));
  }
}

void TokenDataset::add_shard(std::uint32_t shard, std::int64_t vocab_size, std::int64_t max_length,
                             Truncation truncation) {
  const SafetensorsFile& file = shards_[shard];
  const TensorInfo& ids = vector_of(file, "input_ids", DType::u32);
  const TensorInfo& mask = vector_of(file, "loss_mask", DType::u8);
  const TensorInfo& offsets = vector_of(file, "row_offsets", DType::u64);
  const auto tokens = static_cast<std::uint64_t>(ids.shape[0]);
  const auto refuse = [&](const std::string& what) {
    return FileError(fmt::format("{}: {}", file.path().string(), what));
  };
  if (mask.shape[0] != ids.shape[0]) {
    throw refuse(fmt::format("loss_mask has {} elements, input_ids {}", mask.shape[0], ids.shape[0]));
  }
  if (offsets.shape[0] < 1 || element<std::uint64_t>(offsets, 0) != 0)
    throw refuse("row_offsets do not begin with 0");
  const auto rows = static_cast<std::uint64_t>(offsets.shape[0]) - 1;
  if (element<std::uint64_t>(offsets, rows) != tokens) {
    throw refuse(fmt::format("row_offsets end at {}, there are {} tokens",
                             element<std::uint64_t>(offsets, rows), tokens));
  }

  for (std::uint64_t row = 0; row < rows; ++row) {
    const auto begin = element<std::uint64_t>(offsets, row), end = element<std::uint64_t>(offsets, row + 1);
    if (end < begin || end > tokens) {
      throw refuse(fmt::format("row {}: row_offsets [{}, {}) do not ascend within {} tokens", row, begin, end,
                               tokens));
    }
    for (std::uint64_t at = begin; at < end; ++at) {
      if (const auto id = element<std::uint32_t>(ids, at); id >= vocab_size) {
        throw refuse(fmt::format(
            "row {}, token {}: id {} is not in the model's vocabulary of {}; the tokenizer belongs to "
            "another model",
            row, at - begin, id, vocab_size));
      }
      if (const auto carries = element<std::uint8_t>(mask, at); carries > 1) {
        throw refuse(
            fmt::format("row {}, token {}: loss_mask is {}, neither 0 nor 1", row, at - begin, carries));
      }
    }

    counts_.total += 1;
    const std::uint64_t length = std::min(end - begin, static_cast<std::uint64_t>(max_length));
    if (length < end - begin && truncation == Truncation::drop) {
      counts_.too_long += 1;
      continue;
    }
    // The mask of a row's first token does not count: nothing predicts it.
    const auto* first = reinterpret_cast<const std::uint8_t*>(mask.bytes.data()) + begin;
    if (length < 2 || std::find(first + 1, first + length, std::uint8_t{1}) == first + length) {
      counts_.unsupervised += 1;
      continue;
    }
    if (length < end - begin) counts_.cut += 1;
    longest_ = std::max(longest_, static_cast<std::int64_t>(length));
    rows_.push_back({shard, static_cast<std::uint32_t>(length), begin});
  }
}

void TokenDataset::append_row(std::int64_t row, TokenBatch& batch) const {
  const Row& place = rows_.at(static_cast<std::size_t>(row));
  const SafetensorsFile& file = shards_[place.shard];
  const std::size_t at = batch.input_ids.size();
  batch.input_ids.resize(at + place.length);
  batch.loss_mask.resize(at + place.length);
  std::memcpy(batch.input_ids.data() + at,
              file.at("input_ids").bytes.data() + place.begin * sizeof(std::uint32_t),
              place.length * sizeof(std::uint32_t));
  std::memcpy(batch.loss_mask.data() + at, file.at("loss_mask").bytes.data() + place.begin, place.length);
  batch.loss_mask[at] = 0;
  batch.sequence_offsets.push_back(static_cast<std::uint32_t>(batch.input_ids.size()));
}

}  // namespace ziptie
