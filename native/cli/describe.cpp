#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "engine/io/hf_config.h"
#include "engine/io/hf_model.h"
#include "engine/io/safetensors.h"
#include "engine/train/model_setup.h"

namespace ziptie {

int describe_command(const DescribeOptions& options) {
  nlohmann::ordered_json description = {
      {"version", ZIPTIE_VERSION},
      {"device", choose_backend(Device::automatic, options.threads).description}};
  std::vector<WeightShape> weights;
  if (!options.model.empty()) {
    const HfModel model(options.model);
    weights = weight_shapes(model.config());
    nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
    for (const WeightShape& weight : weights)
      tensors.push_back({{"name", weight.name}, {"shape", weight.shape}});
    description["model"] = {{"path", options.model.string()},
                            {"config", hf_config_json(model.config())},
                            {"parameters", parameter_count(model.config())},
                            {"tensors", tensors}};
  }
  if (options.json) {
    fmt::print("{}\n", description.dump(2));
    return 0;
  }
  fmt::print("ziptie-engine {}\n{}\n", ZIPTIE_VERSION, description["device"].get<std::string>());
  if (!weights.empty()) {
    fmt::print("{}: {} parameters\n", options.model.string(),
               description["model"]["parameters"].get<std::int64_t>());
    for (const WeightShape& weight : weights) fmt::print("  {} {}\n", weight.name, shape_text(weight.shape));
  }
  return 0;
}

}  // namespace ziptie
