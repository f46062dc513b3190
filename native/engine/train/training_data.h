#pragma once
// What a run is trained and evaluated on.

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/data/sampler.h"
#include "engine/data/token_dataset.h"
#include "engine/train/plan.h"

namespace ziptie {

/// The rows or packs of all data sets of a plan, in the order in which they are trained on.
class TrainingData {
 public:
  /// @throws FileError as TokenDataset does
  TrainingData(const Plan& plan, std::int64_t vocab_size, const InterruptionPoint& interruption = {});
  TrainingData(const TrainingData&) = delete;

  /// The micro-batches of optimizer step `step`, which counts from 1.
  std::vector<TokenBatch> step(std::int64_t step) const;
  /// Passes over the data after `step` steps.
  double epoch(std::int64_t step) const;

  /// Of the shards of all data sets.
  RowCounts counts() const;
  std::int64_t longest_row() const;
  const std::optional<TokenDataset>& evaluation() const { return evaluation_; }

 private:
  std::vector<TokenDataset> datasets_;
  std::optional<TokenDataset> evaluation_;
  std::optional<Sampler> sampler_;
  std::int64_t batch_size_, accumulation_steps_;
};

}  // namespace ziptie
