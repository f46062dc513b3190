#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ziptie {

/// Where the plan `now` asks for another training than `before`, one line for each key with both values. Keys
/// that do not change what is learned (how often to log, save and evaluate, threads, device, what is kept for
/// backward, output, tokenizer files) are passed over.
std::vector<std::string> plan_differences(const nlohmann::json& before, const nlohmann::json& now);

}  // namespace ziptie
