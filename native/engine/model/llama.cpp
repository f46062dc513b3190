#include "engine/model/llama.h"

#include <cmath>
#include <numeric>
#include <stdexcept>

#include "engine/backend/philox.h"
#include "engine/model/arena.h"
#include "engine/model/device_batch.h"
#include "engine/model/weights.h"

namespace ziptie {

namespace {

/// What one layer's backward needs of its forward. Norms' outputs and SwiGLU's output are cheap and computed
/// again.
struct LayerActivations {
  Tensor input;      ///< residual stream before attention
  Tensor qkv;        ///< rotated
  Tensor attention;  ///< heads' outputs
  Tensor log_sum;
  Tensor middle;  ///< residual stream before the MLP
  Tensor gate_up;
  Tensor qkv_hidden, o_hidden, gate_up_hidden, down_hidden;  ///< the adapters'
};

std::uint64_t dropout_key(const StepKey& key) {
  return mix_bits(key.seed ^ mix_bits(key.step ^ mix_bits(key.micro_batch)));
}

}  // namespace

struct Llama::State {
  State(const LlamaConfig& config, const std::optional<AdapterConfig>& adapter, Backend& backend, DType dtype)
      : config(config),
        adapter(adapter),
        backend(backend),
        dtype(dtype),
        weights(config, adapter, backend, dtype),
        layout{config.num_attention_heads, config.num_key_value_heads, config.head_dim},
        arena(backend) {}

  LlamaConfig config;
  std::optional<AdapterConfig> adapter;
  Backend& backend;
  DType dtype;
  Weights weights;
  HeadLayout layout;
  Arena arena;
  Buffer rope_buffer;
  Tensor rope_table;

  Tensor take(std::int64_t rows, std::int64_t columns) { return arena.take(dtype, {rows, columns}); }

  template <class T>
  void fill_rope_table(std::int64_t positions);
  /// Makes `rope_table` reach `positions`.
  void reach(std::int64_t positions);

  LayerActivations take_activations(const LlamaLayer& layer, std::int64_t tokens);
  /// The residual stream after the last layer, as x and what is to be added to it; `kept` has one entry per
  /// layer, or one for all where nothing is kept. With a cache, the batch is one sequence that follows on it.
  struct Stream {
    Tensor x, addend;
  };
  Stream forward_layers(const DeviceBatch& batch, const Dropout& dropout, std::vector<LayerActivations>& kept,
                        KvCache* cache);
  void forward_norm(const Tensor& x, const Tensor& addend, const Weight& norm, const Tensor& sum,
                    const Tensor& out) {
    backend.rmsnorm_residual_forward(x, addend, norm.value, config.rms_norm_eps, sum, out);
  }
  void backward_norm(const Tensor& x, const Weight& norm, const Tensor& gradient_out,
                     const Tensor& gradient_x) {
    backend.rmsnorm_backward(x, norm.value, config.rms_norm_eps, gradient_out, gradient_x,
                             norm.gradient_or_none());
  }
  /// Turns `gradient`, d/d(output of the layer), into d/d(its input).
  void backward_layer(const LlamaLayer& layer, const LayerActivations& kept, const DeviceBatch& batch,
                      const Dropout& dropout, const Tensor& gradient, bool input_needed);
  Loss run(const Batch& batch, double scale, const Dropout& dropout, bool backward);
  std::vector<float> to_host(const Tensor& tensor);
};

template <class T>
void Llama::State::fill_rope_table(std::int64_t positions) {
  const std::int64_t half = layout.head_dim / 2;
  std::vector<T> table(positions * layout.head_dim);
  for (std::int64_t i = 0; i < half; ++i) {
    // transformers computes the angle in float32, and so models were trained with its rounding.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(layout.head_dim);
    const float frequency = 1.0f / std::pow(static_cast<float>(config.rope_theta), exponent);
    for (std::int64_t position = 0; position < positions; ++position) {
      const float angle = static_cast<float>(position) * frequency;
      table[position * layout.head_dim + i] = std::cos(angle);
      table[position * layout.head_dim + half + i] = std::sin(angle);
    }
  }
  rope_buffer = backend.allocate(table.size() * sizeof(T));
  rope_table = {rope_buffer.data(), dtype, 2, {positions, layout.head_dim}};
  backend.copy_to_device(rope_table.data, table.data(), table.size() * sizeof(T));
}

void Llama::State::reach(std::int64_t positions) {
  if (rope_table.data && rope_table.shape[0] >= positions) return;
  const std::int64_t rounded = (positions + 255) / 256 * 256;
  if (dtype == DType::f64)
    fill_rope_table<double>(rounded);
  else
    fill_rope_table<float>(rounded);
}

LayerActivations Llama::State::take_activations(const LlamaLayer& layer, std::int64_t tokens) {
  const auto hidden_of = [&](const AdaptedLinear& linear) {
    return linear.rank() > 0 ? take(tokens, linear.rank()) : Tensor{};
  };
  LayerActivations taken;
  taken.input = take(tokens, config.hidden_size);
  taken.qkv = take(tokens, layout.row());
  taken.attention = take(tokens, layout.heads * layout.head_dim);
  taken.log_sum = take(tokens, layout.heads);
  taken.middle = take(tokens, config.hidden_size);
  taken.gate_up = take(tokens, 2 * config.intermediate_size);
  taken.qkv_hidden = hidden_of(layer.qkv);
  taken.o_hidden = hidden_of(layer.o);
  taken.gate_up_hidden = hidden_of(layer.gate_up);
  taken.down_hidden = hidden_of(layer.down);
  return taken;
}

Llama::State::Stream Llama::State::forward_layers(const DeviceBatch& batch, const Dropout& dropout,
                                                  std::vector<LayerActivations>& kept, KvCache* cache) {
  const std::int64_t tokens = batch.tokens();
  reach((cache ? cache->length() : 0) + batch.sequences.longest);
  Stream stream{take(tokens, config.hidden_size), {}};
  const Tensor normed = take(tokens, config.hidden_size), activated = take(tokens, config.intermediate_size);
  const Tensor delta = take(tokens, config.hidden_size);
  backend.embedding_forward(weights.embedding_op(), batch.input_ids, stream.x);
  for (std::size_t index = 0; index < weights.layers.size(); ++index) {
    const LlamaLayer& layer = weights.layers[index];
    const LayerActivations& a = kept.size() > 1 ? kept[index] : kept[0];
    forward_norm(stream.x, stream.addend, layer.input_norm, a.input, normed);
    backend.linear_forward(normed, layer.qkv.linear, dropout, a.qkv, a.qkv_hidden);
    backend.rope(a.qkv, batch.positions, rope_table, layout, Rotation::forward);
    if (cache)
      backend.attention_cached(a.qkv, layout, cache->length(), cache->keys(index), cache->values(index),
                               a.attention);
    else
      backend.attention_varlen_forward(a.qkv, batch.sequences, layout, a.attention, a.log_sum);
    backend.linear_forward(a.attention, layer.o.linear, dropout, delta, a.o_hidden);
    forward_norm(a.input, delta, layer.post_attention_norm, a.middle, normed);
    backend.linear_forward(normed, layer.gate_up.linear, dropout, a.gate_up, a.gate_up_hidden);
    backend.swiglu_forward(a.gate_up, activated);
    backend.linear_forward(activated, layer.down.linear, dropout, delta, a.down_hidden);
    stream = {a.middle, delta};
  }
  if (cache) cache->advance(tokens);
  return stream;
}

void Llama::State::backward_layer(const LlamaLayer& layer, const LayerActivations& kept,
                                  const DeviceBatch& batch, const Dropout& dropout, const Tensor& gradient,
                                  bool input_needed) {
  const std::int64_t tokens = batch.tokens();
  const Arena::Mark mark = arena.mark();
  const Tensor normed = take(tokens, config.hidden_size), gradient_normed = take(tokens, config.hidden_size);
  {
    const Arena::Mark mlp = arena.mark();
    const Tensor gradient_gate_up = take(tokens, 2 * config.intermediate_size);
    const Tensor gradient_activated = take(tokens, config.intermediate_size);
    const Tensor activated = take(tokens, config.intermediate_size);
    if (layer.down.trains()) backend.swiglu_forward(kept.gate_up, activated);
    backend.linear_backward(activated, layer.down.linear, dropout, kept.down_hidden, gradient,
                            gradient_activated);
    backend.swiglu_backward(kept.gate_up, gradient_activated, gradient_gate_up);
    if (layer.gate_up.trains()) forward_norm(kept.middle, {}, layer.post_attention_norm, {}, normed);
    backend.linear_backward(normed, layer.gate_up.linear, dropout, kept.gate_up_hidden, gradient_gate_up,
                            gradient_normed);
    backward_norm(kept.middle, layer.post_attention_norm, gradient_normed, gradient);
    arena.release(mlp);
  }
  const Tensor gradient_attention = take(tokens, layout.heads * layout.head_dim);
  const Tensor gradient_qkv = take(tokens, layout.row());
  backend.linear_backward(kept.attention, layer.o.linear, dropout, kept.o_hidden, gradient,
                          gradient_attention);
  backend.attention_varlen_backward(kept.qkv, batch.sequences, layout, kept.attention, kept.log_sum,
                                    gradient_attention, gradient_qkv);
  backend.rope(gradient_qkv, batch.positions, rope_table, layout, Rotation::backward);
  if (layer.qkv.trains()) forward_norm(kept.input, {}, layer.input_norm, {}, normed);
  backend.linear_backward(normed, layer.qkv.linear, dropout, kept.qkv_hidden, gradient_qkv,
                          input_needed ? gradient_normed : Tensor{});
  if (input_needed) backward_norm(kept.input, layer.input_norm, gradient_normed, gradient);
  arena.release(mark);
}

Loss Llama::State::run(const Batch& batch, double scale, const Dropout& dropout, bool backward) {
  arena.reset();
  const DeviceBatch on_device = put_on_device(batch, config.vocab_size, backend, arena);
  const std::int64_t tokens = on_device.tokens(), supervised = on_device.supervised();
  if (supervised == 0) return {};
  std::vector<LayerActivations> kept;
  for (std::size_t index = 0; index < (backward ? weights.layers.size() : 1); ++index)
    kept.push_back(take_activations(weights.layers[index], tokens));
  const Stream stream = forward_layers(on_device, dropout, kept, nullptr);

  const Tensor last = take(tokens, config.hidden_size), normed = take(tokens, config.hidden_size);
  forward_norm(stream.x, stream.addend, weights.norm, last, normed);
  const Tensor picked = take(supervised, config.hidden_size);
  backend.gather_rows(normed, on_device.supervised_rows, picked);
  const Tensor losses = arena.take(dtype, {supervised});
  const Tensor gradient_picked = backward ? take(supervised, config.hidden_size) : Tensor{};
  backend.head_cross_entropy(picked, weights.head, dropout, on_device.targets, scale, losses,
                             gradient_picked);
  if (backward) {
    const Tensor gradient = take(tokens, config.hidden_size);
    const bool trains_embedding = weights.embedding.gradient.has_value();
    backend.scatter_rows(gradient_picked, on_device.supervised_rows, normed);
    backend.fill_zero(gradient);
    backward_norm(last, weights.norm, normed, gradient);
    for (std::size_t index = weights.layers.size(); index-- > 0;)
      backward_layer(weights.layers[index], kept[index], on_device, dropout, gradient,
                     index > 0 || trains_embedding);
    if (trains_embedding) backend.embedding_backward(weights.embedding_op(), on_device.input_ids, gradient);
  }
  return {backend.sum(losses), supervised};
}

std::vector<float> Llama::State::to_host(const Tensor& tensor) {
  std::vector<float> values(tensor.elements());
  if (dtype == DType::f32) {
    backend.copy_to_host(values.data(), tensor.data, values.size() * sizeof(float));
    return values;
  }
  std::vector<double> wide(values.size());
  backend.copy_to_host(wide.data(), tensor.data, wide.size() * sizeof(double));
  for (std::size_t i = 0; i < wide.size(); ++i) values[i] = static_cast<float>(wide[i]);
  return values;
}

Llama::Llama(const LlamaConfig& config, const std::optional<AdapterConfig>& adapter, Backend& backend,
             DType dtype)
    : state_(std::make_unique<State>(config, adapter, backend, dtype)) {}
Llama::~Llama() = default;
Llama::Llama(Llama&&) noexcept = default;

const LlamaConfig& Llama::config() const { return state_->config; }
Backend& Llama::backend() { return state_->backend; }
std::vector<Parameter>& Llama::parameters() { return state_->weights.parameters; }

void Llama::initialize_base(std::uint64_t seed) {
  state_->weights.initialize_base(seed, state_->config.initializer_range);
}
void Llama::initialize_adapter(std::uint64_t seed) { state_->weights.initialize_adapter(seed); }

Loss Llama::forward(const Batch& batch) { return state_->run(batch, 0, {}, false); }

Loss Llama::forward_backward(const Batch& batch, double scale, const StepKey& key) {
  return state_->run(batch, scale, {state_->adapter ? state_->adapter->dropout : 0, dropout_key(key)}, true);
}

std::vector<float> Llama::logits(const Batch& batch) {
  State& state = *state_;
  state.arena.reset();
  const DeviceBatch on_device = put_on_device(batch, state.config.vocab_size, state.backend, state.arena);
  if (on_device.tokens() == 0) return {};
  std::vector<LayerActivations> kept{state.take_activations(state.weights.layers[0], on_device.tokens())};
  const State::Stream stream = state.forward_layers(on_device, {}, kept, nullptr);
  const Tensor normed = state.take(on_device.tokens(), state.config.hidden_size);
  const Tensor last = state.take(on_device.tokens(), state.config.hidden_size);
  state.forward_norm(stream.x, stream.addend, state.weights.norm, last, normed);
  const Tensor out = state.take(on_device.tokens(), state.config.vocab_size);
  state.backend.linear_forward(normed, state.weights.head, {}, out, {});
  return state.to_host(out);
}

KvCache Llama::make_cache(std::int64_t capacity) {
  return KvCache(state_->backend, state_->dtype, state_->config.num_hidden_layers, capacity,
                 state_->layout.kv_heads * state_->layout.head_dim);
}

std::vector<float> Llama::decode(std::span<const std::uint32_t> input_ids, KvCache& cache) {
  State& state = *state_;
  if (input_ids.empty()) throw std::invalid_argument("there is no token to decode");
  if (cache.length() + static_cast<std::int64_t>(input_ids.size()) > cache.capacity())
    throw std::length_error("the KV cache holds " + std::to_string(cache.length()) + " of " +
                            std::to_string(cache.capacity()) + " tokens, so " +
                            std::to_string(input_ids.size()) + " more do not fit");
  state.arena.reset();
  const std::vector<std::uint8_t> unsupervised(input_ids.size(), 0);
  const std::uint32_t offsets[] = {0, static_cast<std::uint32_t>(input_ids.size())};
  DeviceBatch on_device =
      put_on_device({input_ids, unsupervised, offsets}, state.config.vocab_size, state.backend, state.arena);
  std::vector<std::uint32_t> positions(input_ids.size());
  std::iota(positions.begin(), positions.end(), static_cast<std::uint32_t>(cache.length()));
  on_device.positions = put_on_device(positions, state.backend, state.arena);
  std::vector<LayerActivations> kept{state.take_activations(state.weights.layers[0], on_device.tokens())};
  const State::Stream stream = state.forward_layers(on_device, {}, kept, &cache);
  const Tensor last = state.take(on_device.tokens(), state.config.hidden_size);
  const Tensor normed = state.take(on_device.tokens(), state.config.hidden_size);
  state.forward_norm(stream.x, stream.addend, state.weights.norm, last, normed);
  const std::uint32_t last_row[] = {static_cast<std::uint32_t>(input_ids.size() - 1)};
  const Tensor picked = state.take(1, state.config.hidden_size);
  state.backend.gather_rows(normed, put_on_device(last_row, state.backend, state.arena), picked);
  const Tensor out = state.take(1, state.config.vocab_size);
  state.backend.linear_forward(picked, state.weights.head, {}, out, {});
  return state.to_host(out);
}

}  // namespace ziptie
