#include "engine/model/llama.h"

#include <numeric>
#include <stdexcept>

#include "engine/backend/philox.h"
#include "engine/model/decoder.h"

namespace ziptie {

namespace {

std::uint64_t dropout_key(const StepKey& key) {
  return mix_bits(key.seed ^ mix_bits(key.step ^ mix_bits(key.micro_batch)));
}

}  // namespace

struct Llama::State {
  State(const LlamaConfig& config, const ModelOptions& options, Backend& backend)
      : config(config),
        options(options),
        backend(backend),
        weights(config, options, backend),
        arena(backend),
        decoder(this->config, this->options, backend, weights, arena) {}

  LlamaConfig config;
  ModelOptions options;
  Backend& backend;
  Weights weights;
  Arena arena;
  Decoder decoder;

  Tensor take(std::int64_t rows, std::int64_t columns) { return decoder.take(rows, columns); }
  Loss run(const Batch& batch, double scale, const Dropout& dropout, bool backward);
  /// The head's output for `x` [rows, hidden], in host memory.
  std::vector<float> logits(const Tensor& x);
  std::vector<float> to_host(const Tensor& tensor);
};

Loss Llama::State::run(const Batch& batch, double scale, const Dropout& dropout, bool backward) {
  arena.reset();
  const DeviceBatch on_device = put_on_device(batch, config, backend, arena);
  const std::int64_t tokens = on_device.tokens(), supervised = on_device.supervised();
  if (supervised == 0) return {};
  const bool below_head = backward && (decoder.trains() || weights.norm.gradient);
  const std::vector<LayerActivations> kept =
      backward && decoder.trains() ? decoder.take_activations(tokens)
                                   : std::vector<LayerActivations>{decoder.take_passing(tokens)};
  const Tensor last = take(tokens, config.hidden_size), normed = take(tokens, config.hidden_size);
  {
    const Arena::Mark mark = arena.mark();
    const Decoder::Stream stream = decoder.forward(on_device, dropout, kept, nullptr);
    decoder.forward_norm(stream.x, stream.addend, weights.norm, last, normed);
    arena.release(mark);
  }
  const Tensor picked = take(supervised, config.hidden_size);
  backend.gather_rows(normed, on_device.supervised_rows, picked);
  const Tensor losses = arena.take(options.dtype, {supervised});
  const Tensor gradient_picked = backward ? take(supervised, config.hidden_size) : Tensor{};
  backend.head_cross_entropy(picked, weights.head.linear, dropout, on_device.targets, scale, losses,
                             gradient_picked);
  if (below_head) {
    const Tensor gradient = take(tokens, config.hidden_size);
    backend.scatter_rows(gradient_picked, on_device.supervised_rows, normed);
    backend.fill_zero(gradient);
    decoder.backward_norm(last, weights.norm, normed, gradient);
    if (decoder.trains()) decoder.backward(on_device, dropout, kept, gradient);
  }
  return {backend.sum(losses), supervised};
}

std::vector<float> Llama::State::logits(const Tensor& x) {
  const std::int64_t rank = weights.head.rank();
  const Tensor out = take(x.shape[0], config.vocab_size);
  backend.linear_forward(x, weights.head.linear, {}, out, rank > 0 ? take(x.shape[0], rank) : Tensor{});
  return to_host(out);
}

std::vector<float> Llama::State::to_host(const Tensor& tensor) {
  std::vector<float> values(tensor.elements());
  if (options.dtype == DType::f32) {
    backend.copy_to_host(values.data(), tensor.data, values.size() * sizeof(float));
    return values;
  }
  std::vector<double> wide(values.size());
  backend.copy_to_host(wide.data(), tensor.data, wide.size() * sizeof(double));
  for (std::size_t i = 0; i < wide.size(); ++i) values[i] = static_cast<float>(wide[i]);
  return values;
}

Llama::Llama(const LlamaConfig& config, const ModelOptions& options, Backend& backend)
    : state_(std::make_unique<State>(config, options, backend)) {}
Llama::~Llama() = default;
Llama::Llama(Llama&&) noexcept = default;

const LlamaConfig& Llama::config() const { return state_->config; }
const ModelOptions& Llama::options() const { return state_->options; }
Backend& Llama::backend() { return state_->backend; }
std::vector<Parameter>& Llama::parameters() { return state_->weights.parameters; }

void Llama::initialize_base(std::uint64_t seed, const InterruptionPoint& interruption) {
  state_->weights.initialize_base(seed, interruption);
}
void Llama::initialize_adapter(std::uint64_t seed) { state_->weights.initialize_adapter(seed); }

Loss Llama::forward(const Batch& batch) { return state_->run(batch, 0, {}, false); }

Loss Llama::forward_backward(const Batch& batch, double scale, const StepKey& key) {
  const auto& adapter = state_->options.adapter;
  return state_->run(batch, scale, {adapter ? adapter->dropout : 0, dropout_key(key)}, true);
}

std::size_t Llama::workspace_bytes() const { return state_->arena.peak(); }

std::vector<float> Llama::logits(const Batch& batch) {
  State& state = *state_;
  state.arena.reset();
  const DeviceBatch on_device = put_on_device(batch, state.config, state.backend, state.arena);
  if (on_device.tokens() == 0) return {};
  const std::vector<LayerActivations> kept{state.decoder.take_passing(on_device.tokens())};
  const Decoder::Stream stream = state.decoder.forward(on_device, {}, kept, nullptr);
  const Tensor normed = state.take(on_device.tokens(), state.config.hidden_size);
  const Tensor last = state.take(on_device.tokens(), state.config.hidden_size);
  state.decoder.forward_norm(stream.x, stream.addend, state.weights.norm, last, normed);
  return state.logits(normed);
}

KvCache Llama::make_cache(std::int64_t capacity) {
  const HeadLayout& layout = state_->decoder.layout();
  return KvCache(state_->backend, state_->options.dtype, state_->config.num_hidden_layers, capacity,
                 layout.kv_heads * layout.head_dim);
}

std::vector<float> Llama::decode(std::span<const std::uint32_t> input_ids, KvCache& cache) {
  State& state = *state_;
  const auto count = static_cast<std::int64_t>(input_ids.size());
  if (count == 0) throw std::invalid_argument("there is no token to decode");
  if (cache.length() + count > cache.capacity())
    throw std::length_error("the KV cache holds " + std::to_string(cache.length()) + " of " +
                            std::to_string(cache.capacity()) + " tokens, so " + std::to_string(count) +
                            " more do not fit");
  check_length(cache.length() + count, state.config);
  state.arena.reset();
  const std::vector<std::uint8_t> unsupervised(input_ids.size(), 0);
  const std::uint32_t offsets[] = {0, static_cast<std::uint32_t>(count)};
  DeviceBatch on_device =
      put_on_device({input_ids, unsupervised, offsets}, state.config, state.backend, state.arena);
  std::vector<std::uint32_t> positions(input_ids.size());
  std::iota(positions.begin(), positions.end(), static_cast<std::uint32_t>(cache.length()));
  on_device.positions = put_on_device(positions, state.backend, state.arena);
  const std::vector<LayerActivations> kept{state.decoder.take_passing(count)};
  const Decoder::Stream stream = state.decoder.forward(on_device, {}, kept, &cache);
  const Tensor last = state.take(count, state.config.hidden_size);
  const Tensor normed = state.take(count, state.config.hidden_size);
  state.decoder.forward_norm(stream.x, stream.addend, state.weights.norm, last, normed);
  const std::uint32_t last_row[] = {static_cast<std::uint32_t>(count - 1)};
  const Tensor picked = state.take(1, state.config.hidden_size);
  state.backend.gather_rows(normed, put_on_device(last_row, state.backend, state.arena), picked);
  return state.logits(picked);
}

}  // namespace ziptie
