#pragma once
// `adapter_config.json` of a PEFT directory.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/model/config.h"

namespace ziptie {

inline constexpr const char* adapter_config_file = "adapter_config.json";

/// Reads `DIRECTORY/adapter_config.json`. @throws FileError naming the key that the engine cannot honour
AdapterConfig read_adapter_config(const std::filesystem::path& directory);

/// What adapter_config.json says of the adapter `config` of a model; `base_model` is what PEFT is told to
/// apply it to, a path or empty.
nlohmann::json adapter_config_json(const LlamaConfig& model, const AdapterConfig& config,
                                   const std::string& base_model);

}  // namespace ziptie
