#pragma once
// The rows of one data set: token shards, cut or dropped at the longest length that is trained on.

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "engine/io/safetensors.h"
#include "engine/model/llama.h"

namespace ziptie {

/// What happens to rows longer than the longest length.
enum class Truncation { cut, drop };

struct RowCounts {
  std::int64_t total = 0;
  std::int64_t cut = 0;           ///< shortened
  std::int64_t too_long = 0;      ///< dropped for their length
  std::int64_t unsupervised = 0;  ///< left out because no token within the length carries loss
};

/// Sequences laid end to end, owned. `loss_mask` is 0 at the first token of each, which is never predicted.
struct TokenBatch {
  std::vector<std::uint32_t> input_ids;
  std::vector<std::uint8_t> loss_mask;
  std::vector<std::uint32_t> sequence_offsets = {0};

  Batch view() const { return {input_ids, loss_mask, sequence_offsets}; }
  std::int64_t tokens() const { return static_cast<std::int64_t>(input_ids.size()); }
  std::int64_t supervised_tokens() const;
};

class TokenDataset {
 public:
  /// Opens the shards and looks at every token.
  /// @throws FileError naming the shard and the row: a tensor is missing or of another type or length,
  /// offsets are not
  ///         ascending, an id is not below `vocab_size`, a mask is neither 0 nor 1; or no row of all carries
  ///         loss
  TokenDataset(std::span<const std::filesystem::path> shards, std::int64_t vocab_size,
               std::int64_t max_length, Truncation truncation);

  /// Rows to train on.
  std::int64_t rows() const { return static_cast<std::int64_t>(rows_.size()); }
  const RowCounts& counts() const { return counts_; }
  /// Tokens of the longest row to train on.
  std::int64_t longest() const { return longest_; }
  std::int64_t row_length(std::int64_t row) const { return rows_.at(static_cast<std::size_t>(row)).length; }
  void append_row(std::int64_t row, TokenBatch& batch) const;

 private:
  struct Row {
    std::uint32_t shard;
    std::uint32_t length;
    std::uint64_t begin;
  };

  void add_shard(std::uint32_t shard, std::int64_t vocab_size, std::int64_t max_length,
                 Truncation truncation);

  std::vector<SafetensorsFile> shards_;
  std::vector<Row> rows_;
  RowCounts counts_;
  std::int64_t longest_ = 0;
};

}  // namespace ziptie
