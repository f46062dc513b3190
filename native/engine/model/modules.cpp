#include "engine/model/modules.h"

namespace ziptie {

namespace {

constexpr std::string_view linear_modules[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                               "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                               "mlp.down_proj"};
constexpr std::string_view norm_modules[] = {"input_layernorm", "post_attention_layernorm"};

/// The module itself and, at the ends of a tied model, the other end.
std::vector<std::string_view> alike(std::string_view module, const LlamaConfig& config,
                                    const ModelOptions& options) {
  if (!ties_ends(config, options) || (module != embedding_module && module != head_module)) return {module};
  return {embedding_module, head_module};
}

}  // namespace

bool names_target(std::string_view target, std::string_view module) {
  if (target.empty() || !module.ends_with(target)) return false;
  return target.size() == module.size() || module[module.size() - target.size() - 1] == '.';
}

bool names_saved(std::string_view name, std::string_view module) {
  return !name.empty() && module.ends_with(name);
}

bool ties_ends(const LlamaConfig& config, const ModelOptions& options) {
  return config.tie_word_embeddings && (!options.adapter || options.adapter->ensure_weight_tying);
}

bool is_adapted(std::string_view module, const LlamaConfig& config, const ModelOptions& options) {
  if (!options.adapter) return false;
  for (const std::string_view one : alike(module, config, options))
    for (const std::string& target : options.adapter->target_modules)
      if (names_target(target, one)) return true;
  return false;
}

bool is_saved(std::string_view module, const LlamaConfig& config, const ModelOptions& options) {
  if (!options.adapter) return false;
  for (const std::string_view one : alike(module, config, options))
    for (const std::string& name : options.adapter->modules_to_save)
      if (names_saved(name, one)) return true;
  return false;
}

std::vector<std::string> adaptable_modules(const LlamaConfig& config) {
  std::vector<std::string> modules{std::string(embedding_module)};
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer)
    for (const std::string_view linear : linear_modules)
      modules.push_back("model.layers." + std::to_string(layer) + "." + std::string(linear));
  modules.emplace_back(head_module);
  return modules;
}

std::vector<std::string> savable_modules(const LlamaConfig& config) {
  std::vector<std::string> modules{std::string(embedding_module)};
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer)
    for (const std::string_view norm : norm_modules)
      modules.push_back("model.layers." + std::to_string(layer) + "." + std::string(norm));
  modules.emplace_back("model.norm");
  modules.emplace_back(head_module);
  return modules;
}

}  // namespace ziptie
