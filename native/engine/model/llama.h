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
#include "engine/io/interruption.h"
#include "engine/model/config.h"
#include "engine/model/parameter.h"

namespace ziptie {

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

/// New tokens of some of a cache's sequences, laid end to end.
struct DecodeBatch {
  std::span<const std::uint32_t> input_ids;         ///< [tokens]
  std::span<const std::uint32_t> sequence_offsets;  ///< [sequences + 1]; no sequence is empty
  std::span<const std::uint32_t> slots;             ///< [sequences]: the slot each continues, none twice
};

/// What a model makes of one token after those before it.
struct TokenLikelihood {
  float log_likelihood = 0;     ///< natural logarithm
  std::uint32_t likeliest = 0;  ///< the token of the highest logit; of several, the lowest id
};

/// Where a dropout mask or the like comes from: the same key gives the same mask, whatever came before.
struct StepKey {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;         ///< optimizer step
  std::uint64_t micro_batch = 0;  ///< within the step
};

class Llama {
 public:
  /// Allocates every weight on `backend`, zero-filled, each in the form it is held in: of a quantised weight
  /// nothing wider ever exists.
  /// @throws std::invalid_argument naming the key of the configuration that cannot be
  Llama(const LlamaConfig& config, const ModelOptions& options, Backend& backend);
  ~Llama();
  Llama(Llama&&) noexcept;

  const LlamaConfig& config() const;
  const ModelOptions& options() const;
  Backend& backend();

  /// Weights ~ N(0, initializer_range²), norms 1, as HF initialises Llama; counter-based, keyed by (seed,
  /// tensor name).
  void initialize_base(std::uint64_t seed, const InterruptionPoint& interruption = {});
  /// As PEFT: A ~ kaiming-uniform(√5), B = 0; of the embedding A = 0, B ~ N(0, 1), unless it is tied to the
  /// head, whose distribution then holds for both. Counter-based, keyed by (seed, tensor name).
  void initialize_adapter(std::uint64_t seed, const InterruptionPoint& interruption = {});

  /// Base weights in HF's order, then LoRA tensors. Tied models have no `lm_head.weight`, and of a tied
  /// adapter only the embedding's tensors.
  std::vector<Parameter>& parameters();

  // An `interruption` is asked before every matrix product and attention, forward and backward, and every
  // chunk of the head; what it throws ends the pass. Weights, caches and their lengths are then as they were,
  // gradients are half-added to.

  /// Loss without gradients (evaluation: no dropout).
  Loss forward(const Batch& batch, const InterruptionPoint& interruption = {});
  /// Adds d(sum of losses · scale)/d(parameter) to every gradient; dropout from `key`.
  Loss forward_backward(const Batch& batch, double scale, const StepKey& key,
                        const InterruptionPoint& interruption = {});
  /// The most memory that a pass has taken so far besides weights and gradients; the backend's own is not
  /// counted.
  std::size_t workspace_bytes() const;

  /// Logits [tokens, vocab_size] in host memory, f32; for tests, scoring and generation.
  std::vector<float> logits(const Batch& batch);
  /// The tokens of `batch` whose `loss_mask` is set and that others precede, in order.
  std::vector<TokenLikelihood> likelihoods(const Batch& batch, const InterruptionPoint& interruption = {});
  /// A cache for `slots` sequences of up to `capacity` tokens. @throws std::bad_alloc
  KvCache make_cache(std::int64_t slots, std::int64_t capacity);
  /// Bytes that such a cache takes.
  double cache_bytes(std::int64_t slots, std::int64_t capacity) const;
  /// Runs each sequence's tokens at the positions after those of its slot and appends them to it; logits
  /// [sequences, vocab_size] after the last one of each. How many tokens come at once changes rounding alone.
  /// @throws std::invalid_argument saying what of the batch cannot be; std::length_error when a slot is full
  std::vector<float> decode(const DecodeBatch& batch, KvCache& cache,
                            const InterruptionPoint& interruption = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ziptie
