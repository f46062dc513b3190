#pragma once
#include <cstdint>
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

/// The order in which rows are trained on, without state: any position can be asked for, so a resumed run
/// needs to know nothing but its step.
///
/// An epoch holds each row of a data set of weight 1 exactly once; of weight w, floor(w) times and a share of
/// w − floor(w) of them once more (another share every epoch). Shuffled, the order of each epoch is a
/// permutation chosen by (seed, epoch); unshuffled, data sets follow each other as they are.
class Sampler {
 public:
  Sampler(std::span<const WeightedRows> datasets, std::uint64_t seed, bool shuffle);

  std::int64_t rows_per_epoch() const { return rows_per_epoch_; }
  /// The row at `position` of the run, counted from 0; epoch e begins at e · rows_per_epoch().
  SampledRow at(std::int64_t position) const;

 private:
  struct Dataset {
    std::int64_t rows;
    std::int64_t begin;  ///< first of its positions in an unshuffled epoch
  };

  std::vector<Dataset> datasets_;
  std::int64_t rows_per_epoch_ = 0;
  std::uint64_t seed_;
  bool shuffle_;
};

}  // namespace ziptie
