#include "engine/model/llama.h"

#include <algorithm>
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
  Loss run(const Batch& batch, double scale, const Dropout& dropout, bool backward,
           const InterruptionPoint& interruption);
  /// The last norm's output [tokens, hidden], without a backward pass in mind.
  Tensor infer(const Passage& passage);
  /// The head's output for `x` [rows, hidden], in host memory.
  std::vector<float> logits(const Tensor& x);
  std::vector<float> to_host(const Tensor& tensor);
};

Loss Llama::State::run(const Batch& batch, double scale, const Dropout& dropout, bool backward,
                       const InterruptionPoint& interruption) {
  arena.reset();
  const DeviceBatch on_device = put_on_device(batch, config, backend, arena);
  const std::int64_t tokens = on_device.tokens(), supervised = on_device.supervised();
  if (supervised == 0) return {};
  const Passage passage{.batch = on_device, .dropout = dropout, .interruption = interruption};
  const bool below_head = backward && (decoder.trains() || weights.norm.gradient);
  const std::vector<LayerActivations> kept =
      backward && decoder.trains() ? decoder.take_activations(tokens)
                                   : std::vector<LayerActivations>{decoder.take_passing(tokens)};
  const Tensor last = take(tokens, config.hidden_size), normed = take(tokens, config.hidden_size);
  {
    const Arena::Mark mark = arena.mark();
    const Decoder::Stream stream = decoder.forward(passage, kept);
    decoder.forward_norm(stream.x, stream.addend, weights.norm, last, normed);
    arena.release(mark);
  }
  const Tensor picked = take(supervised, config.hidden_size);
  backend.gather_rows(normed, on_device.supervised_rows, picked);
  const Tensor losses = arena.take(options.dtype, {supervised});
  const Tensor gradient_picked = backward ? take(supervised, config.hidden_size) : Tensor{};
  backend.head_cross_entropy(picked, weights.head.linear, dropout, on_device.targets, scale, losses,
                             gradient_picked, interruption);
  if (below_head) {
    const Tensor gradient = take(tokens, config.hidden_size);
    backend.scatter_rows(gradient_picked, on_device.supervised_rows, normed);
    backend.fill_zero(gradient);
    decoder.backward_norm(last, weights.norm, normed, gradient);
    if (decoder.trains()) decoder.backward(passage, kept, gradient);
  }
  return {backend.sum(losses), supervised};
}

Tensor Llama::State::infer(const Passage& passage) {
  const std::int64_t tokens = passage.batch.tokens();
  const Tensor normed = take(tokens, config.hidden_size);
  const Arena::Mark mark = arena.mark();
  const std::vector<LayerActivations> passing{decoder.take_passing(tokens)};
  const Decoder::Stream stream = decoder.forward(passage, passing);
  decoder.forward_norm(stream.x, stream.addend, weights.norm, take(tokens, config.hidden_size), normed);
  arena.release(mark);
  return normed;
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
void Llama::initialize_adapter(std::uint64_t seed, const InterruptionPoint& interruption) {
  state_->weights.initialize_adapter(seed, interruption);
}

Loss Llama::forward(const Batch& batch, const InterruptionPoint& interruption) {
  return state_->run(batch, 0, {}, false, interruption);
}

Loss Llama::forward_backward(const Batch& batch, double scale, const StepKey& key,
                             const InterruptionPoint& interruption) {
  const auto& adapter = state_->options.adapter;
  return state_->run(batch, scale, {adapter ? adapter->dropout : 0, dropout_key(key)}, true, interruption);
}

std::size_t Llama::workspace_bytes() const { return state_->arena.peak(); }

std::vector<float> Llama::logits(const Batch& batch) {
  State& state = *state_;
  state.arena.reset();
  const DeviceBatch on_device = put_on_device(batch, state.config, state.backend, state.arena);
  if (on_device.tokens() == 0) return {};
  return state.logits(state.infer({.batch = on_device}));
}

std::vector<TokenLikelihood> Llama::likelihoods(const Batch& batch, const InterruptionPoint& interruption) {
  State& state = *state_;
  state.arena.reset();
  const DeviceBatch on_device = put_on_device(batch, state.config, state.backend, state.arena);
  const std::int64_t count = on_device.supervised();
  if (count == 0) return {};
  const Tensor normed = state.infer({.batch = on_device, .interruption = interruption});
  const Tensor picked = state.take(count, state.config.hidden_size);
  state.backend.gather_rows(normed, on_device.supervised_rows, picked);
  const Tensor losses = state.arena.take(state.options.dtype, {count});
  const Tensor likeliest = state.arena.take(DType::u32, {count});
  state.backend.head_likelihood(picked, state.weights.head.linear, on_device.targets, losses, likeliest,
                                interruption);
  const std::vector<float> negative = state.to_host(losses);
  std::vector<std::uint32_t> ids(count);
  state.backend.copy_to_host(ids.data(), likeliest.data, ids.size() * sizeof(std::uint32_t));
  std::vector<TokenLikelihood> made;
  for (std::int64_t i = 0; i < count; ++i) made.push_back({-negative[i], ids[i]});
  return made;
}

KvCache Llama::make_cache(std::int64_t slots, std::int64_t capacity) {
  const HeadLayout& layout = state_->decoder.layout();
  return KvCache(state_->backend, state_->options.dtype, state_->config.num_hidden_layers, slots, capacity,
                 layout.kv_heads * layout.head_dim);
}

double Llama::cache_bytes(std::int64_t slots, std::int64_t capacity) const {
  const HeadLayout& layout = state_->decoder.layout();
  return 2.0 * static_cast<double>(size_of(state_->options.dtype)) *
         static_cast<double>(state_->config.num_hidden_layers * layout.kv_heads * layout.head_dim) *
         static_cast<double>(slots) * static_cast<double>(capacity);
}

std::vector<float> Llama::decode(const DecodeBatch& batch, KvCache& cache,
                                 const InterruptionPoint& interruption) {
  State& state = *state_;
  state.arena.reset();
  const std::vector<std::uint8_t> unsupervised(batch.input_ids.size(), 0);
  DeviceBatch on_device = put_on_device({batch.input_ids, unsupervised, batch.sequence_offsets}, state.config,
                                        state.backend, state.arena);
  const auto count = static_cast<std::size_t>(on_device.sequences.count);
  if (batch.slots.size() != count || count == 0)
    throw std::invalid_argument("there are " + std::to_string(count) + " sequences to decode and " +
                                std::to_string(batch.slots.size()) + " slots for them");
  std::vector<bool> taken(cache.slots());
  std::vector<std::uint32_t> positions(batch.input_ids.size()), past(count), last(count);
  CachedSequences sequences{on_device.sequences, {}, {}, 0};
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t begin = batch.sequence_offsets[i], end = batch.sequence_offsets[i + 1];
    const std::uint32_t slot = batch.slots[i];
    if (begin == end) throw std::invalid_argument("there is no token to decode");
    if (slot >= taken.size() || taken[slot])
      throw std::invalid_argument("slot " + std::to_string(slot) + " is used twice, or beyond the cache's " +
                                  std::to_string(taken.size()));
    taken[slot] = true;
    cache.check_room(slot, end - begin);
    past[i] = static_cast<std::uint32_t>(cache.length(slot));
    last[i] = end - 1;
    const std::int64_t reached = past[i] + end - begin;
    check_length(reached, state.config);
    sequences.longest = std::max(sequences.longest, reached);
    std::iota(positions.begin() + begin, positions.begin() + end, past[i]);
  }
  on_device.positions = put_on_device(positions, state.backend, state.arena);
  sequences.slots = put_on_device(batch.slots, state.backend, state.arena);
  sequences.past = put_on_device(past, state.backend, state.arena);
  const Continuation continuation{cache, sequences};
  const Tensor normed =
      state.infer({.batch = on_device, .continuation = &continuation, .interruption = interruption});
  const Tensor picked = state.take(static_cast<std::int64_t>(count), state.config.hidden_size);
  state.backend.gather_rows(normed, put_on_device(last, state.backend, state.arena), picked);
  for (std::size_t i = 0; i < count; ++i)
    cache.advance(batch.slots[i], batch.sequence_offsets[i + 1] - batch.sequence_offsets[i]);
  return state.logits(picked);
}

}  // namespace ziptie
