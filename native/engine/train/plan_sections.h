#pragma once
// How plan.json's values are checked, and those of its sections that say what is trained.

#include <filesystem>
#include <optional>
#include <string>

#include "engine/io/json_object.h"
#include "engine/train/plan.h"

namespace ziptie {

std::filesystem::path absolute_path(JsonObject& json, std::string_view key, const std::string& path);
double positive_number(JsonObject& json, std::string_view key);
/// 0 to 1.
double fraction(JsonObject& json, std::string_view key);

/// `model`, `adapter`, `quantization`, `frozen_dtype` and `recompute` of the plan `json`.
void read_model_sections(JsonObject& json, Plan& plan);

}  // namespace ziptie
