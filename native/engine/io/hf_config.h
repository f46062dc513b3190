#pragma once
// `config.json` of an HF model directory.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/model/llama.h"

namespace ziptie {

/// Reads `DIRECTORY/config.json`, in the keys of transformers 4 and 5.
/// @throws FileError naming the key that the engine cannot honour: another architecture or activation, rotary
///         embeddings scaled in another way than linear or llama3, biases in the MLP
LlamaConfig read_hf_config(const std::filesystem::path& directory);

/// What `config.json` says of `config`, with float32 weights.
nlohmann::json hf_config_json(const LlamaConfig& config);

/// Every id that ends a text: `eos_token_id` of config.json and of generation_config.json, which may hold
/// several.
/// @throws FileError
std::vector<std::uint32_t> read_stop_ids(const std::filesystem::path& directory);

struct WeightShape {
  std::string name;  ///< HF's tensor name
  std::vector<std::int64_t> shape;
};

/// The weights that a model of this configuration has, in HF's order. Tied models have no `lm_head.weight`.
std::vector<WeightShape> weight_shapes(const LlamaConfig& config);

}  // namespace ziptie
