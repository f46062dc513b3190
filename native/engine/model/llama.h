#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/infer/kv_cache.h"

namespace ziptie {

/// HF `LlamaConfig`'s names and meaning.
struct LlamaConfig {
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
  bool tie_word_embeddings = false;
  double initializer_range = 0.02;
  std::optional<std::int64_t> bos_token_id, eos_token_id;
};

/// PEFT `LoraConfig`'s names and meaning.
struct AdapterConfig {
  std::int64_t r = 8;
  double alpha = 8;
  double dropout = 0;
  bool use_rslora = false;
  std::vector<std::string> target_modules;  ///< `q_proj`, `k_proj`, … ; all-linear is already expanded
};

/// Token sequences laid end to end without padding; sequence i is [offsets[i], offsets[i+1]).
struct Batch {
  std::span<const std::uint32_t> input_ids;         ///< [tokens]
  std::span<const std::uint8_t> loss_mask;          ///< [tokens]; 1: predicting this token carries loss
  std::span<const std::uint32_t> sequence_offsets;  ///< [sequences + 1]
};

/// Sum of negative log-likelihoods and how many tokens it is over.
struct Loss {
  double sum = 0;
  std::int64_t tokens = 0;
};

/// A named weight. `name` is HF's tensor name, or PEFT's for LoRA tensors
/// (`base_model.model.…lora_A.weight`).
struct Parameter {
  std::string name;
  Tensor value;                    ///< f32, on the device; write it through the backend (`copy_to_device`)
  std::optional<Tensor> gradient;  ///< f32, same shape; absent when frozen
  bool decays = true;              ///< false for norms and biases
};

/// Where a dropout mask or the like comes from: the same key gives the same mask, whatever came before.
struct StepKey {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;         ///< optimizer step
  std::uint64_t micro_batch = 0;  ///< within the step
};

class Llama {
 public:
  /// Allocates every weight on `backend`, zero-filled. With an adapter the base is frozen and LoRA tensors
  /// are trainable. `dtype` is the type of weights and arithmetic; f64 is for checking gradients.
  /// @throws std::invalid_argument naming the key of the configuration that cannot be
  Llama(const LlamaConfig& config, const std::optional<AdapterConfig>& adapter, Backend& backend,
        DType dtype = DType::f32);
  ~Llama();
  Llama(Llama&&) noexcept;

  const LlamaConfig& config() const;
  Backend& backend();

  /// Weights ~ N(0, initializer_range²), norms 1, as HF initialises Llama; counter-based, keyed by (seed,
  /// tensor name).
  void initialize_base(std::uint64_t seed);
  /// LoRA A ~ kaiming-uniform(√5), B = 0, as PEFT; counter-based, keyed by (seed, tensor name).
  void initialize_adapter(std::uint64_t seed);

  /// Base weights in HF's order, then LoRA tensors. Tied models have no `lm_head.weight`.
  std::vector<Parameter>& parameters();

  /// Loss without gradients (evaluation: no dropout).
  Loss forward(const Batch& batch);
  /// Adds d(sum of losses · scale)/d(parameter) to every gradient; dropout from `key`.
  Loss forward_backward(const Batch& batch, double scale, const StepKey& key);
  /// Logits [tokens, vocab_size] in host memory, f32; for tests, scoring and generation.
  std::vector<float> logits(const Batch& batch);
  /// A cache for one sequence of up to `capacity` tokens.
  KvCache make_cache(std::int64_t capacity);
  /// Runs `input_ids` at the positions after those in `cache` and appends to it; logits [vocab_size] of the
  /// last one.
  /// @throws std::length_error when the cache is full
  std::vector<float> decode(std::span<const std::uint32_t> input_ids, KvCache& cache);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ziptie
