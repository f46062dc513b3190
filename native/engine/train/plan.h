#pragma once
// plan.json, version 1: what the language server tells the engine to do
// (language-server/src/training/engine-plan.ts).

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/token_dataset.h"
#include "engine/io/vocabulary_growth.h"
#include "engine/model/llama.h"
#include "engine/train/optimizer.h"
#include "engine/train/schedule.h"

namespace ziptie {

enum class Device { automatic, cpu, cuda };

struct Plan {
  struct Data {
    std::vector<std::filesystem::path> shards;  ///< none: every row was dropped
    double weight;
    RowCounts dropped;  ///< rows that are not in the shards
  };
  struct Evaluation {
    std::vector<std::filesystem::path> shards;
    bool on_start;  ///< before the first step, too
    std::optional<std::int64_t> every_steps;
    std::int64_t batch_size;
    RowCounts dropped;
  };
  struct Batching {
    std::int64_t per_device_train_batch_size, gradient_accumulation_steps, max_length;
    Truncation truncation;
    bool shuffle;
    bool group_by_length;
    bool packing;
  };

  std::filesystem::path model_path;            ///< empty: random initialisation
  std::optional<VocabularyGrowth> vocabulary;  ///< of `model_path`
  std::optional<LlamaConfig> architecture;     ///< of a random initialisation
  std::uint64_t model_seed = 0;
  std::vector<std::filesystem::path> tokenizer_files;
  std::vector<Data> data;
  std::optional<Evaluation> evaluation;
  std::optional<AdapterConfig> adapter;
  std::optional<Quantization> quantization;
  DType frozen_dtype = DType::f32;
  Recompute recompute = Recompute::none;
  OptimizerSettings optimizer{};
  Schedule schedule;
  Batching batching{};
  std::optional<std::int64_t> save_steps, save_total_limit;
  std::int64_t logging_steps = 1;
  Device device = Device::automatic;
  int threads = 0;  ///< 0: as many as the machine has
  std::uint64_t seed = 0;
  std::filesystem::path output;
  std::map<std::string, std::string> inputs;  ///< SHA-256 in hexadecimal by path

  nlohmann::json json;  ///< as it was read
};

/// @throws FileError naming the key by its path: unknown, missing, of another type, out of range, a relative
/// path
Plan read_plan(const std::filesystem::path& path);
/// The same of JSON at hand; `source` is what messages call it.
Plan parse_plan(const nlohmann::json& json, const std::string& source);

}  // namespace ziptie
