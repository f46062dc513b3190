#pragma once
// The engine's commands. Each returns the exit status; what goes wrong is thrown.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "cli/model_argument.h"
#include "engine/backend/backend.h"
#include "engine/infer/generate.h"

namespace ziptie {

struct TrainOptions {
  std::filesystem::path plan;
  bool resume = false;
};
int train_command(const TrainOptions& options);

struct GenerateOptions {
  ModelArgument model;
  std::filesystem::path prompts;
  GenerationSettings settings;
  std::optional<std::vector<std::uint32_t>> stop_ids;  ///< none: the model's end tokens
  bool stream = false;                                 ///< tokens as they come
  int threads = 0;
};
int generate_command(const GenerateOptions& options);

struct ScoreOptions {
  ModelArgument model;
  std::filesystem::path requests;
  std::int64_t batch_tokens = 4096;
  int threads = 0;
};
int score_command(const ScoreOptions& options);

struct DescribeOptions {
  std::filesystem::path model;  ///< empty: the engine alone
  bool json = false;
  int threads = 0;
};
int describe_command(const DescribeOptions& options);

struct ExportOptions {
  std::filesystem::path model, adapter, output;
  std::optional<DType> dtype;  ///< none: as the model's weights are stored
  int threads = 0;
};
int export_command(const ExportOptions& options);

struct TrainTokenizerOptions {
  std::filesystem::path plan;
};
int train_tokenizer_command(const TrainTokenizerOptions& options);

}  // namespace ziptie
