// The whole model: gradients, and what must not change its results.

#include "engine/infer/generate.h"
#include "engine/model/llama.h"
#include "ops_fixture.h"

using namespace ziptie;

namespace {

LlamaConfig small_config(bool tied) {
  LlamaConfig config;
  config.hidden_size = 12;
  config.intermediate_size = 10;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 4;  // heads are wider together than the hidden state
  config.vocab_size = 19;
  config.max_position_embeddings = 64;
  config.tie_word_embeddings = tied;
  config.initializer_range = 0.3;
  return config;
}

/// Large enough that work is cut into several tasks.
LlamaConfig medium_config() {
  LlamaConfig config = small_config(false);
  config.hidden_size = 72;
  config.intermediate_size = 172;
  config.num_attention_heads = 6;
  config.head_dim = 12;
  config.vocab_size = 517;
  config.max_position_embeddings = 512;
  return config;
}

const std::vector<std::string> every_module{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                            "gate_proj", "up_proj", "down_proj"};

AdapterConfig adapter_of(std::vector<std::string> modules, double dropout = 0) {
  return {.r = 3, .alpha = 5, .dropout = dropout, .target_modules = std::move(modules)};
}

/// Sequences with random tokens and a random mask.
struct OwnedBatch {
  std::vector<std::uint32_t> ids, offsets{0};
  std::vector<std::uint8_t> mask;

  OwnedBatch(std::initializer_list<std::uint32_t> lengths, std::uint32_t vocab, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (const auto length : lengths) {
      offsets.push_back(offsets.back() + length);
      for (std::uint32_t t = 0; t < length; ++t) {
        ids.push_back(std::uniform_int_distribution<std::uint32_t>(0, vocab - 1)(random));
        mask.push_back(std::bernoulli_distribution(0.7)(random));
      }
    }
  }
  operator Batch() const { return {ids, mask, offsets}; }
};

Values read(Backend& backend, const Tensor& x) {
  if (x.dtype == DType::f64) {
    Values values(x.elements());
    backend.copy_to_host(values.data(), x.data, values.size() * sizeof(double));
    return values;
  }
  std::vector<float> narrow(x.elements());
  backend.copy_to_host(narrow.data(), x.data, narrow.size() * sizeof(float));
  return Values(narrow.begin(), narrow.end());
}

/// So that adapters do something: B is zero when fresh.
void randomise_adapters(Llama& model, std::uint64_t seed) {
  model.initialize_adapter(seed);
  std::mt19937_64 random(seed);
  for (Parameter& parameter : model.parameters()) {
    if (!parameter.name.ends_with("lora_B.weight")) continue;
    std::normal_distribution<double> normal(0, 0.3);
    Values values(parameter.value.elements());
    for (double& value : values) value = normal(random);
    if (parameter.value.dtype == DType::f64) {
      model.backend().copy_to_device(parameter.value.data, values.data(), values.size() * sizeof(double));
    } else {
      const std::vector<float> narrow(values.begin(), values.end());
      model.backend().copy_to_device(parameter.value.data, narrow.data(), narrow.size() * sizeof(float));
    }
  }
}

/// Loss and every gradient after one pass with dropout.
Values everything_after_a_pass(const std::optional<AdapterConfig>& adapter, int threads,
                               const OwnedBatch& batch) {
  const auto backend = make_cpu_backend(threads);
  Llama model(medium_config(), {.adapter = adapter}, *backend);
  model.initialize_base(3);
  randomise_adapters(model, 4);
  Values all{model.forward_backward(batch, 0.01, {5, 6, 7}).sum};
  for (const Parameter& parameter : model.parameters())
    if (parameter.gradient)
      for (const double value : read(*backend, *parameter.gradient)) all.push_back(value);
  return all;
}

void check_every_gradient(const LlamaConfig& config, const std::optional<AdapterConfig>& adapter) {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  const auto backend = make_cpu_backend(1);  // thousands of passes, each too small to share
  Llama model(config, {.adapter = adapter, .dtype = DType::f64}, *backend);
  model.initialize_base(seed);
  randomise_adapters(model, seed + 1);
  OwnedBatch batch({5, 1, 7, 3}, static_cast<std::uint32_t>(config.vocab_size), seed + 2);
  batch.mask[1] = 1;  // at least one token carries loss
  const double scale = 0.5;
  const StepKey key{seed, 1, 2};
  model.forward_backward(batch, scale, key);
  std::vector<Values> gradients;
  std::size_t trainable = 0;
  for (const Parameter& parameter : model.parameters()) {
    gradients.push_back(parameter.gradient ? read(*backend, *parameter.gradient) : Values{});
    trainable += parameter.gradient.has_value();
  }
  REQUIRE(trainable > 0);
  for (std::size_t index = 0; index < gradients.size(); ++index) {
    const Parameter& parameter = model.parameters()[index];
    if (!parameter.gradient) continue;
    const Values at = read(*backend, parameter.value);
    Values numeric(at.size());
    const auto write = [&](std::size_t i, double value) {
      backend->copy_to_device(static_cast<double*>(parameter.value.data) + i, &value, sizeof value);
    };
    const auto loss_at = [&](std::size_t i, double value) {
      write(i, value);
      if (!adapter || adapter->dropout == 0) return model.forward(batch).sum;
      return model.forward_backward(batch, 0, key).sum;  // a scale of 0 leaves the gradients alone
    };
    for (std::size_t i = 0; i < at.size(); ++i) {
      constexpr double step = 1e-5;
      numeric[i] = scale * (loss_at(i, at[i] + step) - loss_at(i, at[i] - step)) / (2 * step);
      write(i, at[i]);
    }
    CAPTURE(parameter.name);
    CHECK(relative_error(gradients[index], numeric) < 1e-6);
  }
}

}  // namespace

TEST_CASE("every gradient of full training, untied and tied") {
  check_every_gradient(small_config(false), std::nullopt);
  check_every_gradient(small_config(true), std::nullopt);
}

TEST_CASE("every gradient of LoRA on all linear layers, on some, with rsLoRA, and with dropout") {
  check_every_gradient(small_config(true), adapter_of(every_module));
  AdapterConfig some = adapter_of({"v_proj", "up_proj"});
  some.use_rslora = true;
  check_every_gradient(small_config(false), some);
  check_every_gradient(small_config(true), adapter_of(every_module, 0.4));
}

TEST_CASE("gradients of two micro-batches add up to those of both in one") {
  const auto backend = make_cpu_backend(2);
  const OwnedBatch both({9, 14, 30}, 19, 1);
  const auto gradients_of = [&](bool apart) {
    Llama model(small_config(true), {.dtype = DType::f64}, *backend);
    model.initialize_base(2);
    if (apart) {
      const std::uint32_t first[] = {0, 9, 23}, second[] = {0, 30};
      const std::span<const std::uint32_t> ids(both.ids);
      const std::span<const std::uint8_t> mask(both.mask);
      model.forward_backward({ids.first(23), mask.first(23), first}, 0.1, {});
      model.forward_backward({ids.subspan(23), mask.subspan(23), second}, 0.1, {});
    } else {
      model.forward_backward(both, 0.1, {});
    }
    Values all;
    for (const Parameter& parameter : model.parameters())
      for (const double value : read(*backend, *parameter.gradient)) all.push_back(value);
    return all;
  };
  CHECK(relative_error(gradients_of(true), gradients_of(false)) < 1e-12);
}

TEST_CASE("one, two and three threads, and a second run, give the same bits") {
  const OwnedBatch batch({1, 300, 77, 260}, 517, 8);
  for (const std::optional<AdapterConfig>& adapter :
       {std::optional<AdapterConfig>{}, std::optional(adapter_of(every_module)),
        std::optional(adapter_of(every_module, 0.1))}) {
    const Values once = everything_after_a_pass(adapter, 2, batch);
    CHECK(std::isfinite(once[0]));
    CHECK(once == everything_after_a_pass(adapter, 2, batch));
    CHECK(once == everything_after_a_pass(adapter, 1, batch));
    CHECK(once == everything_after_a_pass(adapter, 3, batch));
  }
}

TEST_CASE("a sequence's logits do not depend on its neighbours in the batch") {
  const auto backend = make_cpu_backend(2);
  Llama model(medium_config(), {}, *backend);
  model.initialize_base(1);
  const OwnedBatch packed({40, 133, 7}, 517, 2);
  const std::vector<float> together = model.logits(packed);
  for (std::size_t sequence = 0; sequence < 3; ++sequence) {
    const std::uint32_t begin = packed.offsets[sequence], length = packed.offsets[sequence + 1] - begin;
    const std::uint32_t offsets[] = {0, length};
    const std::span<const std::uint32_t> ids(packed.ids);
    const std::span<const std::uint8_t> mask(packed.mask);
    const std::vector<float> alone =
        model.logits({ids.subspan(begin, length), mask.subspan(begin, length), offsets});
    const Values here(together.begin() + begin * 517, together.begin() + (begin + length) * 517);
    CHECK(relative_error(Values(alone.begin(), alone.end()), here) < 1e-6);
  }
}

TEST_CASE("the loss is that of the logits over supervised tokens") {
  const auto backend = make_cpu_backend(2);
  Llama model(medium_config(), {}, *backend);
  model.initialize_base(1);
  const OwnedBatch batch({40, 1, 133}, 517, 2);
  const std::vector<float> logits = model.logits(batch);
  double expected = 0;
  std::int64_t tokens = 0;
  for (std::size_t sequence = 0; sequence < 3; ++sequence)
    for (std::uint32_t t = batch.offsets[sequence] + 1; t < batch.offsets[sequence + 1]; ++t) {
      if (!batch.mask[t]) continue;
      double total = 0;
      for (int id = 0; id < 517; ++id) total += std::exp(double(logits[(t - 1) * 517 + id]));
      expected += std::log(total) - logits[(t - 1) * 517 + batch.ids[t]];
      ++tokens;
    }
  const Loss loss = model.forward(batch);
  CHECK(loss.tokens == tokens);
  CHECK(std::abs(loss.sum - expected) < 1e-5 * expected);
  CHECK(model.forward_backward(batch, 1, {}).sum == loss.sum);
}

TEST_CASE("a batch without supervised tokens has no loss and changes no gradient") {
  const auto backend = make_cpu_backend(2);
  Llama model(small_config(true), {}, *backend);
  model.initialize_base(1);
  OwnedBatch batch({5, 1}, 19, 1);
  std::fill(batch.mask.begin(), batch.mask.end(), 0);
  CHECK(model.forward_backward(batch, 1, {}).tokens == 0);
  for (const Parameter& parameter : model.parameters())
    CHECK(backend->squared_norm(*parameter.gradient) == 0);
  CHECK(model.forward({{}, {}, std::vector<std::uint32_t>{0}}).tokens == 0);
}

TEST_CASE("dropout follows its key, and evaluation has none") {
  const auto backend = make_cpu_backend(2);
  Llama model(small_config(true), {.adapter = adapter_of(every_module, 0.5)}, *backend);
  model.initialize_base(1);
  randomise_adapters(model, 2);
  OwnedBatch batch({20, 30}, 19, 1);
  const double once = model.forward_backward(batch, 1, {1, 2, 3}).sum;
  CHECK(model.forward_backward(batch, 1, {1, 2, 3}).sum == once);
  CHECK(model.forward_backward(batch, 1, {2, 2, 3}).sum != once);
  CHECK(model.forward_backward(batch, 1, {1, 3, 3}).sum != once);
  CHECK(model.forward_backward(batch, 1, {1, 2, 4}).sum != once);
  const double evaluated = model.forward(batch).sum;
  CHECK(evaluated != once);
  CHECK(model.forward(batch).sum == evaluated);
}

TEST_CASE("decoding through the cache gives the logits of the whole sequence") {
  const auto backend = make_cpu_backend(2);
  Llama model(medium_config(), {.adapter = adapter_of(every_module)}, *backend);
  model.initialize_base(1);
  randomise_adapters(model, 2);
  const OwnedBatch batch({90}, 517, 3);
  const std::vector<float> whole = model.logits(batch);
  KvCache cache = model.make_cache(90);
  const std::span<const std::uint32_t> ids(batch.ids);
  std::size_t done = 0;
  for (const std::size_t count : {50, 1, 1, 37, 1}) {
    const std::vector<float> last = model.decode(ids.subspan(done, count), cache);
    done += count;
    const Values expected(whole.begin() + (done - 1) * 517, whole.begin() + done * 517);
    CHECK(relative_error(Values(last.begin(), last.end()), expected) < 1e-5);
  }
  CHECK_THROWS_AS(model.decode(ids.first(1), cache), std::length_error);
  cache.truncate(50);
  const std::vector<float> again = model.decode(ids.subspan(50, 1), cache);
  const Values expected(whole.begin() + 50 * 517, whole.begin() + 51 * 517);
  CHECK(relative_error(Values(again.begin(), again.end()), expected) < 1e-5);
}

TEST_CASE("greedy generation takes the likeliest token until a stop, the limit, or the caller says so") {
  const auto backend = make_cpu_backend(2);
  Llama model(medium_config(), {}, *backend);
  model.initialize_base(1);
  const OwnedBatch prompt({12}, 517, 3);
  const std::vector<std::uint32_t> generated = generate_greedy(model, prompt.ids, 8, {});
  REQUIRE(generated.size() == 8);
  std::vector<std::uint32_t> sequence = prompt.ids;
  for (const std::uint32_t next : generated) {
    const std::vector<std::uint8_t> mask(sequence.size(), 0);
    const std::uint32_t offsets[] = {0, static_cast<std::uint32_t>(sequence.size())};
    const std::vector<float> logits = model.logits({sequence, mask, offsets});
    const auto last = logits.end() - 517;
    CHECK(std::max_element(last, logits.end()) - last == next);
    sequence.push_back(next);
  }
  const std::uint32_t stop[] = {generated[2]};
  const auto stopped = generate_greedy(model, prompt.ids, 8, stop);
  CHECK(stopped == std::vector<std::uint32_t>(generated.begin(),
                                              std::find(generated.begin(), generated.end(), stop[0])));
  int calls = 0;
  CHECK(generate_greedy(model, prompt.ids, 8, {}, [&](std::uint32_t) { return ++calls < 2; }).size() == 2);
  CHECK(generate_greedy(model, prompt.ids, 0, {}).empty());
  CHECK(generate_greedy(model, prompt.ids, 10000, {}).size() == 500);
  CHECK_THROWS_AS(generate_greedy(model, {}, 8, {}), std::invalid_argument);
  CHECK_THROWS_AS(generate_greedy(model, std::vector<std::uint32_t>(512, 1), 8, {}), std::invalid_argument);
  CHECK_THROWS_AS(generate_greedy(model, std::vector<std::uint32_t>{517}, 8, {}), std::invalid_argument);
}

TEST_CASE("initial weights are those of HF and PEFT in distribution, and follow the seed") {
  const auto backend = make_cpu_backend(2);
  LlamaConfig config = medium_config();
  config.initializer_range = 0.02;
  Llama model(config, {.adapter = adapter_of(every_module)}, *backend),
      same(config, {.adapter = adapter_of(every_module)}, *backend);
  model.initialize_base(1);
  same.initialize_base(1);
  model.initialize_adapter(7);
  same.initialize_adapter(7);
  for (std::size_t index = 0; index < model.parameters().size(); ++index) {
    const Parameter& parameter = model.parameters()[index];
    CAPTURE(parameter.name);
    const Values values = read(*backend, parameter.value);
    CHECK(values == read(*backend, same.parameters()[index].value));
    const double n = static_cast<double>(values.size()),
                 deviation = std::sqrt(backend->squared_norm(parameter.value) / n);
    if (parameter.name.ends_with("norm.weight")) {
      CHECK(std::all_of(values.begin(), values.end(), [](double value) { return value == 1; }));
      CHECK(!parameter.decays);
    } else if (parameter.name.ends_with("lora_B.weight")) {
      CHECK(deviation == 0);
    } else if (parameter.name.ends_with("lora_A.weight")) {
      const double bound = 1 / std::sqrt(double(parameter.value.shape[1]));
      CHECK(std::all_of(values.begin(), values.end(), [&](double value) { return std::abs(value) < bound; }));
      CHECK(std::abs(deviation / (bound / std::sqrt(3.0)) - 1) < 5 / std::sqrt(n));
    } else {
      CHECK(std::abs(deviation / 0.02 - 1) < 5 / std::sqrt(2 * n));
      CHECK(std::abs(backend->sum(parameter.value) / n) < 5 * 0.02 / std::sqrt(n));
      CHECK(parameter.decays);
    }
  }
  same.initialize_base(2);
  CHECK(read(*backend, model.parameters()[0].value) != read(*backend, same.parameters()[0].value));
}

TEST_CASE("what cannot be is refused by name") {
  const auto backend = make_cpu_backend(1);
  LlamaConfig config = small_config(true);
  config.num_key_value_heads = 3;
  CHECK_THROWS_WITH_AS(Llama(config, ModelOptions{}, *backend),
                       "num_key_value_heads: 3 does not divide num_attention_heads, 4",
                       std::invalid_argument);
  config = small_config(true);
  config.head_dim = 5;
  CHECK_THROWS_AS(Llama(config, ModelOptions{}, *backend), std::invalid_argument);
  config.head_dim = 0;
  CHECK_THROWS_WITH_AS(Llama(config, ModelOptions{}, *backend), "head_dim: 0 is not between 1 and 4194304",
                       std::invalid_argument);
  CHECK_THROWS_AS(Llama(small_config(true), {.adapter = adapter_of({"w_proj"})}, *backend),
                  std::invalid_argument);
  CHECK_THROWS_AS(Llama(small_config(true), {.adapter = adapter_of(every_module, 1)}, *backend),
                  std::invalid_argument);

  Llama model(small_config(true), {}, *backend);
  OwnedBatch batch({4, 3}, 19, 1);
  batch.ids[5] = 19;
  CHECK_THROWS_WITH_AS(model.forward(batch), "input_ids[5] is 19, the model's vocabulary has 19 tokens",
                       std::invalid_argument);
  batch.ids[5] = 0;
  batch.offsets[1] = 9;
  CHECK_THROWS_AS(model.forward(batch), std::invalid_argument);
  batch.offsets[1] = 4;
  batch.mask.pop_back();
  CHECK_THROWS_AS(model.forward(batch), std::invalid_argument);
}
