#pragma once
// The engine's commands. Each returns the exit status; what goes wrong is thrown.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "engine/backend/backend.h"

namespace ziptie {

struct TrainOptions {
  std::filesystem::path plan;
  bool resume = false;
};
int train_command(const TrainOptions& options);

struct GenerateOptions {
  std::filesystem::path model;
  std::filesystem::path adapter;  ///< empty: none
  std::filesystem::path prompts;
  std::int64_t max_new_tokens = 128;
  std::optional<std::vector<std::uint32_t>> stop_ids;  ///< none: the model's end tokens
  int threads = 0;
};
int generate_command(const GenerateOptions& options);

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
