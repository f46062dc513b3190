#pragma once
// The rows of one data set: token shards, cut or dropped at the longest length that is trained on.

#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "engine/io/interruption.h"
#include "engine/io/safetensors.h"
#include "engine/model/llama.h"

namespace ziptie {

/// What happens to rows longer than the longest length.
enum class Truncation { cut, drop };

struct RowCounts {
  std::int64_t used = 0;          ///< what is left, those that are cut among them
  std::int64_t cut = 0;           ///< shortened
  std::int64_t too_long = 0;      ///< dropped for their length
  std::int64_t unsupervised = 0;  ///< left out because no token within the length carries loss
  // Only who makes shards knows of these: no shard has such a row.
  std::int64_t broken = 0;            ///< could not be read
  std::int64_t template_refused = 0;  ///< by the chat template
  std::int64_t tokenizer_refused = 0;
  std::int64_t packs = 0;  ///< that the rows which are left lie in; 0 without packing

  RowCounts& operator+=(const RowCounts& other);
};

/// Which rows of a shard are trained on, and how.
struct RowSettings {
  std::int64_t vocab_size;
  std::int64_t max_length;
  Truncation truncation = Truncation::cut;
  bool packing = false;  ///< a unit is a pack of `pack_offsets` rather than a row
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

/// Units are what batches are counted in and what is shuffled: rows or, with packing, packs. Within a pack
/// every row stays a sequence of its own.
class TokenDataset {
 public:
  /// Opens the shards and looks at every token.
  /// @throws FileError naming the shard and the row or pack: a tensor is missing or of another type or
  /// length, offsets do not ascend, an id is not below `vocab_size`, a mask is neither 0 nor 1, a pack holds
  /// more than `max_length` tokens; or no row of all carries loss
  TokenDataset(std::span<const std::filesystem::path> shards, const RowSettings& settings,
               const InterruptionPoint& interruption = {});

  const RowCounts& counts() const { return counts_; }
  /// Tokens of the longest row to train on.
  std::int64_t longest() const { return longest_; }
  std::int64_t units() const;
  /// Tokens of all its rows.
  std::int64_t unit_tokens(std::int64_t unit) const;
  /// @throws FileError, e.g. when a shard has been cut short since it was opened
  void append_unit(std::int64_t unit, TokenBatch& batch) const;

 private:
  struct Row {
    std::uint32_t shard;
    std::uint32_t length;
    std::uint64_t begin;
  };
  class ShardReader;

  /// Indices into `rows_`: [first, second).
  std::pair<std::size_t, std::size_t> rows_of(std::int64_t unit) const;
  void append_row(const Row& row, TokenBatch& batch) const;

  std::vector<SafetensorsFile> shards_;
  std::vector<Row> rows_;
  std::vector<std::size_t> pack_ends_;  ///< into `rows_`, ascending; empty without packing
  RowCounts counts_;
  std::int64_t longest_ = 0;
};

}  // namespace ziptie
