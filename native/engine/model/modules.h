#pragma once
// Which modules of a model an adapter's names stand for, by PEFT's rules.

#include <string>
#include <string_view>
#include <vector>

#include "engine/model/config.h"

namespace ziptie {

inline constexpr std::string_view embedding_module = "model.embed_tokens";
inline constexpr std::string_view head_module = "lm_head";

/// Whether a name of `target_modules` stands for `module` (`model.layers.0.self_attn.q_proj`): it is the
/// whole of it, or the end of it after a dot.
bool names_target(std::string_view target, std::string_view module);
/// Whether a name of `modules_to_save` stands for `module`: it is the end of it, dot or no dot.
bool names_saved(std::string_view name, std::string_view module);

/// Whether `target_modules` names the linear layer, embedding or head `module`. Either end of a tied model
/// stands for both.
bool is_adapted(std::string_view module, const LlamaConfig& config, const ModelOptions& options);
/// Whether `modules_to_save` names the embedding, head or norm `module`. Either end of a tied model stands
/// for both.
bool is_saved(std::string_view module, const LlamaConfig& config, const ModelOptions& options);

/// Whether one adapter or saved module serves both ends of a tied model.
bool ties_ends(const LlamaConfig& config, const ModelOptions& options);

/// The modules that LoRA may adapt, in HF's order: embedding, linear layers, head.
std::vector<std::string> adaptable_modules(const LlamaConfig& config);
/// The modules that may be trained whole beside an adapter, in HF's order: embedding, norms, head.
std::vector<std::string> savable_modules(const LlamaConfig& config);

}  // namespace ziptie
