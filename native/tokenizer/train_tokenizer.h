#pragma once
#include "tokenizer/trainer_plan.h"

namespace ziptie {

struct TrainedTokenizer {
  std::size_t vocabulary = 0, merges = 0;  ///< how many
  std::uint64_t texts = 0, words = 0;      ///< read; different ones
  WordCounts::Dropped dropped;             ///< rare words, for want of memory
};

/// Carries out a plan: counts, trains, and writes `{"vocab": [token, …], "merges": [[id, id], …]}`, tokens by
/// id and merges by rank. The file is there when it is whole, or not at all.
/// @throws Cancelled; FileError
TrainedTokenizer train_tokenizer(const TrainerPlan& plan, const TrainerControl& control);

}  // namespace ziptie
