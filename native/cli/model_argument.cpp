#include "cli/model_argument.h"

#include "engine/io/hf_model.h"
#include "engine/io/peft_adapter.h"

namespace ziptie {

Llama load_model(const std::filesystem::path& model, const std::filesystem::path& adapter, Backend& backend) {
  const HfModel weights(model);
  std::optional<AdapterConfig> config;
  if (!adapter.empty()) config = read_adapter_config(adapter);
  Llama made(weights.config(), {.adapter = config, .train = false}, backend);
  weights.load_into(made);
  if (config) load_adapter(adapter, made);
  return made;
}

}  // namespace ziptie
