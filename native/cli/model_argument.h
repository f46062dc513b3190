#pragma once
// The model that a command is given: an HF directory, and perhaps an adapter on it.

#include <filesystem>

#include "engine/model/llama.h"

namespace ziptie {

/// @throws FileError
Llama load_model(const std::filesystem::path& model, const std::filesystem::path& adapter, Backend& backend);

}  // namespace ziptie
