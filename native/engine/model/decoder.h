#pragma once
#include <vector>

#include "engine/infer/kv_cache.h"
#include "engine/io/interruption.h"
#include "engine/model/arena.h"
#include "engine/model/device_batch.h"
#include "engine/model/rope_table.h"
#include "engine/model/weights.h"

namespace ziptie {

/// What one layer's backward needs of its forward. Norms' outputs and SwiGLU's output are always computed
/// again: they are cheap.
struct LayerActivations {
  Tensor input;      ///< residual stream before attention
  Tensor qkv;        ///< rotated
  Tensor attention;  ///< heads' outputs
  Tensor log_sum;
  Tensor middle;  ///< residual stream before the MLP
  Tensor gate_up;
  Tensor qkv_hidden, o_hidden, gate_up_hidden, down_hidden;  ///< the adapters'
};

/// How a batch continues what a cache holds.
struct Continuation {
  KvCache& cache;
  CachedSequences sequences;  ///< on the device
};

/// A batch on its way through the layers.
struct Passage {
  const DeviceBatch& batch;
  Dropout dropout = {};
  const Continuation* continuation = nullptr;  ///< absent: every sequence begins at its first position
  InterruptionPoint interruption = {};         ///< asked before every matrix product and attention
};

/// The embedding and the layers: forward, what of it is kept, backward.
class Decoder {
 public:
  Decoder(const LlamaConfig& config, const ModelOptions& options, Backend& backend, Weights& weights,
          Arena& arena);

  /// The residual stream after the last layer, as x and what is to be added to it.
  struct Stream {
    Tensor x, addend;
  };

  /// One set of activations that all layers write in turn: where there is no backward pass.
  LayerActivations take_passing(std::int64_t tokens);
  /// A set for each layer. What is computed again lies in one place for all layers, and is the last one's
  /// after the forward pass. Selective drops gate and up: of all that takes a matrix product to compute again
  /// they are the most bytes, at the same cost per byte as q, k and v and without attention's.
  ///
  /// Elements of the arithmetic's type per token, with H = hidden_size, I = intermediate_size, h =
  /// num_attention_heads, Q = h · head_dim, K = num_key_value_heads · head_dim, and r_x the ranks of the
  /// adapters on x together (q, k, v are one x; gate, up another):
  ///
  ///   recompute   each layer                                             once
  ///   none        2H + 2Q + 2K + h + 2I + r_qkv + r_o + r_gate_up + r_down
  ///   selective   2H + 2Q + 2K + h + r_qkv + r_o + r_down                2I + r_gate_up
  ///   full        H + r_down                                             H + 2Q + 2K + h + 2I + r_qkv + r_o
  ///                                                                      + r_gate_up
  ///
  /// A training pass further takes 2H per token and, whichever is larger, 3H + I per token in the forward
  /// pass, or in the backward pass 3H + max(4I, 2Q + 2K) per token and 2H + 1 per supervised token; besides 8
  /// bytes per token and per supervised token, 4 per sequence and one. Every tensor is rounded up to 64
  /// bytes. The backend's own workspace comes on top.
  std::vector<LayerActivations> take_activations(std::int64_t tokens);

  /// `kept` has one entry per layer, or one for all where nothing is kept. Where the batch continues a cache,
  /// its positions do, and the cache's lengths are the caller's to advance.
  Stream forward(const Passage& passage, const std::vector<LayerActivations>& kept);
  /// From d/d(output of the last layer) in `gradient`, which it overwrites, to every gradient below.
  void backward(const Passage& passage, const std::vector<LayerActivations>& kept, const Tensor& gradient);
  /// Whether anything below the last norm is trained.
  bool trains() const { return first_trained_ < weights_.layers.size() || weights_.trains_embedding(); }

  void forward_norm(const Tensor& x, const Tensor& addend, const Weight& norm, const Tensor& sum,
                    const Tensor& out) {
    backend_.rmsnorm_residual_forward(x, addend, norm.value, config_.rms_norm_eps, sum, out);
  }
  void backward_norm(const Tensor& x, const Weight& norm, const Tensor& gradient_out,
                     const Tensor& gradient_x) {
    backend_.rmsnorm_backward(x, norm.value, config_.rms_norm_eps, gradient_out, gradient_x,
                              norm.gradient_or_none());
  }

  const HeadLayout& layout() const { return layout_; }
  Tensor take(std::int64_t rows, std::int64_t columns) {
    return arena_.take(options_.dtype, {rows, columns});
  }

 private:
  std::int64_t largest_rank(AdaptedLinear LlamaLayer::*linear) const;
  Tensor take_hidden(std::int64_t tokens, std::int64_t rank) {
    return rank > 0 ? take(tokens, rank) : Tensor{};
  }
  /// Its `input` and `down_hidden`, which are kept even where all else is computed again: the former is what
  /// that starts from, the latter would take the down projection.
  void take_ends(std::int64_t tokens, std::int64_t down_rank, LayerActivations& a);
  void take_attention(std::int64_t tokens, std::int64_t qkv_rank, std::int64_t o_rank, LayerActivations& a);
  void take_gate_up(std::int64_t tokens, std::int64_t rank, LayerActivations& a);

  /// Attention of one layer, from the residual stream in `a.input` to what is added to it in `delta`.
  void forward_attention(std::size_t index, const Passage& passage, const LayerActivations& a,
                         const Tensor& normed, const Tensor& delta);
  /// Gate and up of one layer, from the residual stream in `a.middle`.
  void forward_gate_up(const LlamaLayer& layer, const Passage& passage, const LayerActivations& a,
                       const Tensor& normed);
  /// Brings back what of a layer's activations was not kept.
  void compute_again(std::size_t index, const Passage& passage, const LayerActivations& a,
                     const Tensor& normed, const Tensor& delta);
  /// Turns `gradient`, d/d(output of the layer), into d/d(its input).
  void backward_layer(std::size_t index, const Passage& passage, const LayerActivations& kept,
                      const Tensor& gradient, bool input_needed);

  const LlamaConfig& config_;
  const ModelOptions& options_;
  Backend& backend_;
  Weights& weights_;
  Arena& arena_;
  HeadLayout layout_;
  RopeTable rope_;
  std::size_t first_trained_;  ///< the lowest layer that is trained or lies above something that is
};

}  // namespace ziptie
