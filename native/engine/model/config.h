#pragma once
// What a model is, and how it is held and trained.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/backend/backend.h"

namespace ziptie {

enum class ModelType : std::uint8_t { llama, mistral, qwen2 };

/// HF's `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5).
struct RopeScaling {
  enum class Type : std::uint8_t { linear, llama3 };
  Type type = Type::linear;
  double factor = 1;
  // Of llama3 alone:
  double low_freq_factor = 1, high_freq_factor = 4;
  std::int64_t original_max_position_embeddings = 8192;
};

/// HF `LlamaConfig`'s, `MistralConfig`'s and `Qwen2Config`'s names and meaning.
struct LlamaConfig {
  ModelType model_type = ModelType::llama;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000.0;
  std::optional<RopeScaling> rope_scaling;
  /// Biases on q, k and v; in a llama on o, too, as HF has it. A qwen2 always has them, a mistral never.
  bool attention_bias = false;
  /// A token sees this many tokens, itself among them. The engine computes full attention, so it refuses
  /// longer sequences.
  std::optional<std::int64_t> sliding_window;
  bool tie_word_embeddings = false;
  double initializer_range = 0.02;
  std::optional<std::int64_t> bos_token_id, eos_token_id;

  bool output_bias() const { return attention_bias && model_type == ModelType::llama; }
};

/// Of an adapter's alpha, of either sign: beyond it doubles skip whole numbers.
inline constexpr double largest_alpha = 0x1p53;

/// PEFT `LoraConfig`'s names and meaning.
struct AdapterConfig {
  std::int64_t r = 8;
  double alpha = 8;
  double dropout = 0;
  bool use_rslora = false;
  /// `q_proj`, `k_proj`, … , `embed_tokens`, `lm_head`; all-linear is already expanded.
  std::vector<std::string> target_modules;
  /// Modules that are trained whole: `embed_tokens`, `lm_head`, or norms. A name stands for every module
  /// whose name ends with it, as in PEFT: `norm` is every norm.
  std::vector<std::string> modules_to_save = {};
  /// In a tied model, naming `embed_tokens` or `lm_head` names both, and both ends share what is trained.
  /// Adapters trained without it by PEFT change one end alone.
  bool ensure_weight_tying = true;
};

/// The linear layers of the decoder that are frozen are held in NF4.
struct Quantization {
  bool double_quant = true;  ///< their absmax in 8 bits
};

/// What of the forward pass is computed again in the backward pass instead of being kept; the results are the
/// same to the bit.
enum class Recompute : std::uint8_t {
  none,
  selective,  ///< the gate and up projections
  full        ///< the whole layer but the down projection
};

/// How a model is held and trained.
struct ModelOptions {
  std::optional<AdapterConfig> adapter = {};  ///< with it the rest is frozen; without it every weight trained
  std::optional<Quantization> quantization = {};  ///< only where the linear layers are frozen
  /// f32 or bf16: of frozen weights that are not quantised; norms and biases keep `dtype`.
  DType frozen_dtype = DType::f32;
  Recompute recompute = Recompute::none;
  /// False: nothing is trained, and no memory taken for gradients; for inference.
  bool train = true;
  DType dtype = DType::f32;  ///< of arithmetic and trained weights; f64 is for checking gradients
};

/// @throws std::invalid_argument naming the key whose value cannot be, as `KEY: WHAT`
void check_config(const LlamaConfig& config);
/// The same of the options, for a model of that configuration.
void check_options(const LlamaConfig& config, const ModelOptions& options);

}  // namespace ziptie
