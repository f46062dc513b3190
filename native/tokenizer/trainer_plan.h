#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "tokenizer/bpe_trainer.h"
#include "tokenizer/corpus.h"
#include "tokenizer/pre_tokenizer.h"

namespace ziptie {

/// What `train-tokenizer` is to do; documented in native/README.md.
struct TrainerPlan {
  std::vector<CorpusFile> dataset;
  PreTokenizer pre_tokenizer;
  BpeTrainerOptions trainer;
  /// The table of different words may take so much; then the rarest are dropped.
  std::size_t max_word_bytes = 0;
  int threads = 0;  ///< 0: all
  std::filesystem::path output;
};

/// @throws FileError naming the key that is missing, unknown or wrong
TrainerPlan parse_trainer_plan(const nlohmann::json& json, const std::string& source);
TrainerPlan read_trainer_plan(const std::filesystem::path& path);

}  // namespace ziptie
