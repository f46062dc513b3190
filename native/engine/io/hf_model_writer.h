#pragma once
// Writing models as Hugging Face directories.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "engine/io/interruption.h"
#include "engine/io/safetensors.h"
#include "engine/model/llama.h"

namespace ziptie {

/// What an HF directory is to hold.
struct HfContents {
  nlohmann::json config;         ///< config.json
  std::filesystem::path origin;  ///< the directory whose generation_config.json is kept; empty: there is none
  std::vector<TensorLayout> tensors;  ///< in HF's order
  /// Puts the contents of `tensors[i]` into `bytes`; each is asked for once.
  std::function<void(std::size_t i, std::span<std::byte> bytes)> fetch;
  std::vector<std::filesystem::path> tokenizer_files;  ///< copied beside
};

/// Bytes of a shard at most, as transformers has them, unless one tensor is larger.
inline constexpr std::uint64_t largest_shard = 5'000'000'000;

/// Writes `contents` into the existing directory `directory`, in one file or, above `shard_bytes`, in shards
/// with an index. One tensor is in memory at a time. @throws FileError
void write_hf_model(const std::filesystem::path& directory, const HfContents& contents,
                    std::uint64_t shard_bytes = largest_shard);

/// Writes the base weights of `model`, as float32. `origin`: the HF directory that the weights came from,
/// whose settings are kept; empty: there is none. @throws FileError; what `interruption` throws
void write_hf_model(const std::filesystem::path& directory, Llama& model, const std::filesystem::path& origin,
                    std::span<const std::filesystem::path> tokenizer_files,
                    const InterruptionPoint& interruption = {});

/// config.json of `origin` for weights of type `dtype`, unquantised, and as many tokens as `config` has.
/// @throws FileError
nlohmann::json continued_config(const std::filesystem::path& origin, const LlamaConfig& config, DType dtype);

/// Copies every file into `directory` under its own name. @throws FileError
void copy_files(std::span<const std::filesystem::path> files, const std::filesystem::path& directory);

}  // namespace ziptie
