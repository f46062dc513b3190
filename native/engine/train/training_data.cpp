#include "engine/train/training_data.h"

#include <algorithm>

namespace ziptie {

TrainingData::TrainingData(const Plan& plan, std::int64_t vocab_size, const InterruptionPoint& interruption)
    : batch_size_(plan.batching.per_device_train_batch_size),
      accumulation_steps_(plan.batching.gradient_accumulation_steps) {
  RowSettings settings{vocab_size, plan.batching.max_length, plan.batching.truncation, plan.batching.packing};
  std::vector<WeightedRows> weighted;
  for (const Plan::Data& data : plan.data) {
    if (data.shards.empty()) continue;  // none of its rows was of any use
    datasets_.emplace_back(data.shards, settings, interruption);
    weighted.push_back({datasets_.back().units(), data.weight});
  }
  std::optional<LengthGrouping> grouping;
  if (plan.batching.group_by_length) {
    grouping = LengthGrouping{batch_size_ * accumulation_steps_, [this](SampledRow row) {
                                return datasets_[static_cast<std::size_t>(row.dataset)].unit_tokens(row.row);
                              }};
  }
  sampler_.emplace(weighted, plan.seed, plan.batching.shuffle, std::move(grouping));
  // What is evaluated does not depend on how it is laid out.
  settings.packing = false;
  if (plan.evaluation) evaluation_.emplace(plan.evaluation->shards, settings, interruption);
}

std::vector<TokenBatch> TrainingData::step(std::int64_t step) const {
  std::int64_t position = (step - 1) * batch_size_ * accumulation_steps_;
  std::vector<TokenBatch> batches(static_cast<std::size_t>(accumulation_steps_));
  for (TokenBatch& batch : batches) {
    for (std::int64_t i = 0; i < batch_size_; ++i) {
      const SampledRow row = sampler_->at(position++);
      datasets_[static_cast<std::size_t>(row.dataset)].append_unit(row.row, batch);
    }
  }
  return batches;
}

double TrainingData::epoch(std::int64_t step) const {
  return static_cast<double>(step * batch_size_ * accumulation_steps_) /
         static_cast<double>(sampler_->rows_per_epoch());
}

RowCounts TrainingData::counts() const {
  RowCounts all;
  for (const TokenDataset& dataset : datasets_) all += dataset.counts();
  return all;
}

std::int64_t TrainingData::longest_row() const {
  std::int64_t longest = evaluation_ ? evaluation_->longest() : 0;
  for (const TokenDataset& dataset : datasets_) longest = std::max(longest, dataset.longest());
  return longest;
}

}  // namespace ziptie
