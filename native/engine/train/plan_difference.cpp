#include "engine/train/plan_difference.h"

#include <fmt/core.h>

#include <set>

namespace ziptie {
namespace {

const std::set<std::string> harmless = {"logging_steps", "checkpointing", "evaluation", "threads",
                                        "device",        "recompute",     "output",     "tokenizer_files"};

/// `data` without what nothing is trained on: data sets without shards, and how many rows were dropped.
nlohmann::json trained_data(const nlohmann::json& data) {
  if (!data.is_array()) return data;
  auto trained = nlohmann::json::array();
  for (nlohmann::json dataset : data) {
    if (dataset.is_object()) {
      if (dataset.value("shards", nlohmann::json()) == nlohmann::json::array()) continue;
      dataset.erase("dropped");
    }
    trained.push_back(std::move(dataset));
  }
  return trained;
}

void compare(const std::string& path, const nlohmann::json& before, const nlohmann::json& now,
             std::vector<std::string>& differences) {
  if (before == now) return;
  if (!before.is_object() || !now.is_object()) {
    differences.push_back(fmt::format("{} was {}, now {}", path, before.dump(), now.dump()));
    return;
  }
  std::set<std::string> keys;
  for (const auto& [key, value] : before.items()) keys.insert(key);
  for (const auto& [key, value] : now.items()) keys.insert(key);
  for (const std::string& key : keys) {
    if (path.empty() && harmless.contains(key)) continue;
    const auto value_of = [&](const nlohmann::json& json) {
      return json.contains(key) ? json.at(key) : nlohmann::json();
    };
    if (path == "inputs") {
      // Two hashes tell nobody anything.
      if (value_of(before) != value_of(now)) {
        differences.push_back(fmt::format("{} {}", key,
                                          !before.contains(key) ? "is a new input"
                                          : !now.contains(key)  ? "is no input any more"
                                                                : "has changed"));
      }
      continue;
    }
    if (path.empty() && key == "data") {
      compare(key, trained_data(value_of(before)), trained_data(value_of(now)), differences);
      continue;
    }
    compare(path.empty() ? key : path + "." + key, value_of(before), value_of(now), differences);
  }
}

}  // namespace

std::vector<std::string> plan_differences(const nlohmann::json& before, const nlohmann::json& now) {
  std::vector<std::string> differences;
  compare("", before, now, differences);
  return differences;
}

}  // namespace ziptie
