#include "engine/model/decoder.h"

#include <algorithm>

namespace ziptie {

namespace {

/// `shared` as the adapters' hidden states of this layer: no wider than it.
Tensor narrowed(const Tensor& shared, const AdaptedLinear& linear) {
  if (linear.rank() == 0) return {};
  Tensor view = shared;
  view.shape[1] = linear.rank();
  return view;
}

}  // namespace

Decoder::Decoder(const LlamaConfig& config, const ModelOptions& options, Backend& backend, Weights& weights,
                 Arena& arena)
    : config_(config),
      options_(options),
      backend_(backend),
      weights_(weights),
      arena_(arena),
      layout_{config.num_attention_heads, config.num_key_value_heads, config.head_dim},
      rope_(config, backend, options.dtype),
      first_trained_(0) {
  if (weights.trains_embedding()) return;
  const auto trained = std::ranges::find_if(weights.layers, &LlamaLayer::trains);
  first_trained_ = static_cast<std::size_t>(trained - weights.layers.begin());
}

std::int64_t Decoder::largest_rank(AdaptedLinear LlamaLayer::*linear) const {
  std::int64_t rank = 0;
  for (const LlamaLayer& layer : weights_.layers) rank = std::max(rank, (layer.*linear).rank());
  return rank;
}

void Decoder::take_ends(std::int64_t tokens, std::int64_t down_rank, LayerActivations& a) {
  a.input = take(tokens, config_.hidden_size);
  a.down_hidden = take_hidden(tokens, down_rank);
}

void Decoder::take_attention(std::int64_t tokens, std::int64_t qkv_rank, std::int64_t o_rank,
                             LayerActivations& a) {
  a.qkv = take(tokens, layout_.row());
  a.attention = take(tokens, layout_.heads * layout_.head_dim);
  a.log_sum = take(tokens, layout_.heads);
  a.middle = take(tokens, config_.hidden_size);
  a.qkv_hidden = take_hidden(tokens, qkv_rank);
  a.o_hidden = take_hidden(tokens, o_rank);
}

void Decoder::take_gate_up(std::int64_t tokens, std::int64_t rank, LayerActivations& a) {
  a.gate_up = take(tokens, 2 * config_.intermediate_size);
  a.gate_up_hidden = take_hidden(tokens, rank);
}

LayerActivations Decoder::take_passing(std::int64_t tokens) {
  LayerActivations taken;
  take_ends(tokens, largest_rank(&LlamaLayer::down), taken);
  take_attention(tokens, largest_rank(&LlamaLayer::qkv), largest_rank(&LlamaLayer::o), taken);
  take_gate_up(tokens, largest_rank(&LlamaLayer::gate_up), taken);
  return taken;
}

std::vector<LayerActivations> Decoder::take_activations(std::int64_t tokens) {
  std::vector<LayerActivations> kept(weights_.layers.size());
  LayerActivations passing;
  if (first_trained_ > 0) passing = take_passing(tokens);
  LayerActivations shared;
  if (options_.recompute == Recompute::full)
    take_attention(tokens, largest_rank(&LlamaLayer::qkv), largest_rank(&LlamaLayer::o), shared);
  if (options_.recompute != Recompute::none) take_gate_up(tokens, largest_rank(&LlamaLayer::gate_up), shared);
  for (std::size_t index = 0; index < kept.size(); ++index) {
    if (index < first_trained_) {
      kept[index] = passing;
      continue;
    }
    const LlamaLayer& layer = weights_.layers[index];
    kept[index] = shared;
    take_ends(tokens, layer.down.rank(), kept[index]);
    if (options_.recompute != Recompute::full)
      take_attention(tokens, layer.qkv.rank(), layer.o.rank(), kept[index]);
    if (options_.recompute == Recompute::none) take_gate_up(tokens, layer.gate_up.rank(), kept[index]);
  }
  return kept;
}

void Decoder::forward_attention(std::size_t index, const Passage& passage, const LayerActivations& a,
                                const Tensor& normed, const Tensor& delta) {
  const LlamaLayer& layer = weights_.layers[index];
  const auto& [batch, dropout, continuation, interruption] = passage;
  pass(interruption);
  backend_.linear_forward(normed, layer.qkv.linear, dropout, a.qkv, narrowed(a.qkv_hidden, layer.qkv));
  backend_.rope(a.qkv, batch.positions, rope_.tensor(), layout_, Rotation::forward);
  pass(interruption);
  if (continuation)
    backend_.attention_cached(a.qkv, continuation->sequences, layout_, continuation->cache.keys(index),
                              continuation->cache.values(index), a.attention);
  else
    backend_.attention_varlen_forward(a.qkv, batch.sequences, layout_, a.attention, a.log_sum);
  pass(interruption);
  backend_.linear_forward(a.attention, layer.o.linear, dropout, delta, narrowed(a.o_hidden, layer.o));
}

void Decoder::forward_gate_up(const LlamaLayer& layer, const Passage& passage, const LayerActivations& a,
                              const Tensor& normed) {
  pass(passage.interruption);
  backend_.linear_forward(normed, layer.gate_up.linear, passage.dropout, a.gate_up,
                          narrowed(a.gate_up_hidden, layer.gate_up));
}

Decoder::Stream Decoder::forward(const Passage& passage, const std::vector<LayerActivations>& kept) {
  const auto& [batch, dropout, continuation, interruption] = passage;
  const std::int64_t tokens = batch.tokens();
  rope_.reach(continuation ? continuation->sequences.longest : batch.sequences.longest);
  Stream stream{take(tokens, config_.hidden_size), {}};
  const Tensor normed = take(tokens, config_.hidden_size), delta = take(tokens, config_.hidden_size);
  const Tensor activated = take(tokens, config_.intermediate_size);
  backend_.embedding_forward(weights_.embedding, batch.input_ids, stream.x);
  for (std::size_t index = 0; index < weights_.layers.size(); ++index) {
    const LlamaLayer& layer = weights_.layers[index];
    const LayerActivations& a = kept.size() > 1 ? kept[index] : kept[0];
    forward_norm(stream.x, stream.addend, layer.input_norm, a.input, normed);
    forward_attention(index, passage, a, normed, delta);
    forward_norm(a.input, delta, layer.post_attention_norm, a.middle, normed);
    forward_gate_up(layer, passage, a, normed);
    backend_.swiglu_forward(a.gate_up, activated);
    pass(interruption);
    backend_.linear_forward(activated, layer.down.linear, dropout, delta,
                            narrowed(a.down_hidden, layer.down));
    stream = {a.middle, delta};
  }
  return stream;
}

void Decoder::compute_again(std::size_t index, const Passage& passage, const LayerActivations& a,
                            const Tensor& normed, const Tensor& delta) {
  // What all layers share is the last one's after the forward pass.
  if (options_.recompute == Recompute::none || index + 1 == weights_.layers.size()) return;
  const LlamaLayer& layer = weights_.layers[index];
  if (options_.recompute == Recompute::full) {
    forward_norm(a.input, {}, layer.input_norm, {}, normed);
    forward_attention(index, passage, a, normed, delta);
    forward_norm(a.input, delta, layer.post_attention_norm, a.middle, normed);
  } else {
    forward_norm(a.middle, {}, layer.post_attention_norm, {}, normed);
  }
  forward_gate_up(layer, passage, a, normed);
}

void Decoder::backward(const Passage& passage, const std::vector<LayerActivations>& kept,
                       const Tensor& gradient) {
  for (std::size_t index = weights_.layers.size(); index-- > first_trained_;)
    backward_layer(index, passage, kept[index], gradient,
                   index > first_trained_ || weights_.trains_embedding());
  if (weights_.trains_embedding())
    backend_.embedding_backward(weights_.embedding, passage.batch.input_ids, gradient);
}

void Decoder::backward_layer(std::size_t index, const Passage& passage, const LayerActivations& kept,
                             const Tensor& gradient, bool input_needed) {
  const auto& [batch, dropout, continuation, interruption] = passage;
  const LlamaLayer& layer = weights_.layers[index];
  const std::int64_t tokens = batch.tokens();
  const Arena::Mark mark = arena_.mark();
  const Tensor normed = take(tokens, config_.hidden_size),
               gradient_normed = take(tokens, config_.hidden_size);
  compute_again(index, passage, kept, normed, gradient_normed);
  {
    const Arena::Mark mlp = arena_.mark();
    const Tensor gradient_gate_up = take(tokens, 2 * config_.intermediate_size);
    const Tensor gradient_activated = take(tokens, config_.intermediate_size);
    const Tensor activated = take(tokens, config_.intermediate_size);
    if (layer.down.trains()) backend_.swiglu_forward(kept.gate_up, activated);
    pass(interruption);
    backend_.linear_backward(activated, layer.down.linear, dropout, narrowed(kept.down_hidden, layer.down),
                             gradient, gradient_activated);
    backend_.swiglu_backward(kept.gate_up, gradient_activated, gradient_gate_up);
    if (layer.gate_up.trains()) forward_norm(kept.middle, {}, layer.post_attention_norm, {}, normed);
    pass(interruption);
    backend_.linear_backward(normed, layer.gate_up.linear, dropout,
                             narrowed(kept.gate_up_hidden, layer.gate_up), gradient_gate_up, gradient_normed);
    backward_norm(kept.middle, layer.post_attention_norm, gradient_normed, gradient);
    arena_.release(mlp);
  }
  const Tensor gradient_attention = take(tokens, layout_.heads * layout_.head_dim);
  const Tensor gradient_qkv = take(tokens, layout_.row());
  pass(interruption);
  backend_.linear_backward(kept.attention, layer.o.linear, dropout, narrowed(kept.o_hidden, layer.o),
                           gradient, gradient_attention);
  pass(interruption);
  backend_.attention_varlen_backward(kept.qkv, batch.sequences, layout_, kept.attention, kept.log_sum,
                                     gradient_attention, gradient_qkv);
  backend_.rope(gradient_qkv, batch.positions, rope_.tensor(), layout_, Rotation::backward);
  if (layer.qkv.trains()) forward_norm(kept.input, {}, layer.input_norm, {}, normed);
  input_needed = input_needed || layer.input_norm.gradient;
  pass(interruption);
  backend_.linear_backward(normed, layer.qkv.linear, dropout, narrowed(kept.qkv_hidden, layer.qkv),
                           gradient_qkv, input_needed ? gradient_normed : Tensor{});
  if (input_needed) backward_norm(kept.input, layer.input_norm, gradient_normed, gradient);
  arena_.release(mark);
}

}  // namespace ziptie
