#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace ziptie {

/// Position `index` of a pseudo-random permutation of [0, count) chosen by `key`: a bijection that is
/// computed one position at a time (a Feistel network with cycle walking; Black and Rogaway, "Ciphers with
/// arbitrary finite domains", 2002).
std::uint64_t permuted(std::uint64_t index, std::uint64_t count, std::uint64_t key);

/// One data set as the sampler sees it.
struct WeightedRows {
  std::int64_t rows;
  double weight;  ///< it contributes weight · rows rows to an epoch, rounded, at least one
};

struct SampledRow {
  std::int64_t dataset;
  std::int64_t row;
};

/// Batches of rows of about the same length, as transformers' `group_by_length` makes them: the rows of an
/// epoch, in their shuffled order, are cut into megabatches of 50 batches (or fewer, so that there are at
/// least four), each megabatch is sorted by length, longest first, and the longest row of the epoch comes
/// first of all, so that what does not fit into memory is known at once.
struct LengthGrouping {
  std::int64_t batch_size;  ///< rows of one optimizer step
  std::function<std::int64_t(SampledRow)> length;
};

/// The order in which rows are trained on, without state: any position can be asked for, so a resumed run
/// needs to know nothing but its step.
///
/// An epoch holds each row of a data set of weight 1 exactly once; of weight w, floor(w) times and a share of
/// w − floor(w) of them once more (another share every epoch). Shuffled, the order of each epoch is a
/// permutation chosen by (seed, epoch); unshuffled, data sets follow each other as they are.
class Sampler {
 public:
  Sampler(std::span<const WeightedRows> datasets, std::uint64_t seed, bool shuffle,
          std::optional<LengthGrouping> grouping = std::nullopt);

  std::int64_t rows_per_epoch() const { return rows_per_epoch_; }
  /// The row at `position` of the run, counted from 0; epoch e begins at e · rows_per_epoch().
  SampledRow at(std::int64_t position) const;

 private:
  struct Dataset {
    std::int64_t rows;
    std::int64_t begin;  ///< first of its positions in an unshuffled epoch
  };

  /// The row at place `within` of an epoch that is not grouped.
  SampledRow ungrouped(std::int64_t epoch, std::int64_t within) const;
  /// The place in the ungrouped epoch whose row is at `within` of the grouped one.
  std::int64_t grouped(std::int64_t epoch, std::int64_t within) const;

  std::vector<Dataset> datasets_;
  std::int64_t rows_per_epoch_ = 0;
  std::uint64_t seed_;
  bool shuffle_;
  std::optional<LengthGrouping> grouping_;

  /// What has been computed of the epoch, and of the megabatch, that was asked for last; it follows from
  /// their numbers alone.
  struct Megabatch {
    std::int64_t epoch = -1, index = -1;
    std::int64_t longest = 0;  ///< place of the epoch's longest row,
    std::int64_t leader = 0;   ///< and of the first megabatch's
    std::vector<std::int64_t> places;
  };
  mutable Megabatch megabatch_;
};

}  // namespace ziptie
