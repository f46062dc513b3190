// The whole model: gradients, and what must not change its results.

#include "engine/model/llama.h"
#include "model_fixture.h"
#include "refusal.h"

using namespace ziptie;

TEST_CASE("one, two and three threads, and a second run, give the same bits") {
  const OwnedBatch batch({1, 300, 77, 260}, 517, 8);
  for (const ModelOptions& options :
       {ModelOptions{}, ModelOptions{.adapter = adapter_of(everywhere)},
        ModelOptions{.adapter = adapter_of(everywhere, 0.1), .recompute = Recompute::full}}) {
    const Values once = everything_after_a_pass(options, 2, batch);
    CHECK(std::isfinite(once[0]));
    CHECK(once == everything_after_a_pass(options, 2, batch));
    CHECK(once == everything_after_a_pass(options, 1, batch));
    CHECK(once == everything_after_a_pass(options, 3, batch));
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
  Llama model(medium_config(), {.adapter = adapter_of(everywhere), .train = false}, *backend);
  model.initialize_base(1);
  randomise_adapters(model, 2);
  const OwnedBatch batch({90}, 517, 3);
  const std::vector<float> whole = model.logits(batch);
  KvCache cache = model.make_cache(1, 90);
  const std::span<const std::uint32_t> ids(batch.ids);
  const std::uint32_t slots[] = {0};
  const auto decode = [&](std::size_t first, std::uint32_t count) {
    const std::uint32_t offsets[] = {0, count};
    return model.decode({ids.subspan(first, count), offsets, slots}, cache);
  };
  std::size_t done = 0;
  for (const std::uint32_t count : {50, 1, 1, 37, 1}) {
    const std::vector<float> last = decode(done, count);
    done += count;
    const Values expected(whole.begin() + (done - 1) * 517, whole.begin() + done * 517);
    CHECK(relative_error(Values(last.begin(), last.end()), expected) < 1e-5);
  }
  CHECK_THROWS_AS(decode(0, 1), std::length_error);
  cache.truncate(0, 50);
  const std::vector<float> again = decode(50, 1);
  const Values expected(whole.begin() + 50 * 517, whole.begin() + 51 * 517);
  CHECK(relative_error(Values(again.begin(), again.end()), expected) < 1e-5);
  const std::uint32_t offsets[] = {0, 1, 2}, twice[] = {0, 0}, beyond[] = {0, 1};
  cache.truncate(0, 0);
  CHECK_THROWS_AS(model.decode({ids.first(2), offsets, twice}, cache), std::invalid_argument);
  CHECK_THROWS_AS(model.decode({ids.first(2), offsets, beyond}, cache), std::invalid_argument);
}

TEST_CASE("initial weights are those of HF and PEFT in distribution, and follow the seed") {
  const auto backend = make_cpu_backend(2);
  LlamaConfig config = medium_config();
  config.initializer_range = 0.02;
  const ModelOptions options{.adapter = adapter_of(everywhere)};
  Llama model(config, options, *backend), same(config, options, *backend);
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
    } else if (parameter.name.ends_with("lora_B.weight") || parameter.name.ends_with("lora_embedding_A")) {
      CHECK(deviation == 0);
    } else if (parameter.name.ends_with("lora_A.weight")) {
      const double bound = 1 / std::sqrt(double(parameter.value.shape[1]));
      CHECK(std::all_of(values.begin(), values.end(), [&](double value) { return std::abs(value) < bound; }));
      CHECK(std::abs(deviation / (bound / std::sqrt(3.0)) - 1) < 5 / std::sqrt(n));
    } else if (parameter.name.ends_with("lora_embedding_B")) {
      CHECK(std::abs(deviation - 1) < 5 / std::sqrt(2 * n));
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
  const auto refused = [&](const LlamaConfig& of, const ModelOptions& options) {
    return refusal([&] { Llama model(of, options, *backend); });
  };
  const LlamaConfig good = small_config(true);
  CHECK(refused(good, {.adapter = adapter_of({"w_proj"})}) ==
        "target_modules: w_proj names no linear layer or embedding of the model");
  CHECK(refused(good, {.adapter = adapter_of({"proj"})}).starts_with("target_modules: proj names no linear"));
  CHECK(refused(good, {.adapter = adapter_of({})}) == "target_modules: names no module");
  CHECK(refused(good, {.adapter = adapter_of(every_module, 1)}) == "dropout: 1 is not in [0, 1)");
  AdapterConfig saved = adapter_of({"q_proj", "embed_tokens"});
  saved.modules_to_save = {"q_proj"};
  CHECK(refused(good, {.adapter = saved}).starts_with("modules_to_save: q_proj names no embedding"));
  saved.modules_to_save = {"lm_head"};
  CHECK(refused(good, {.adapter = saved})
            .starts_with("modules_to_save: model.embed_tokens is named by target_modules, too"));
  CHECK(refused(small_config(false), {.adapter = saved}).empty());
  saved.target_modules = {"q_proj"};
  saved.ensure_weight_tying = false;
  CHECK(refused(good, {.adapter = saved}).starts_with("modules_to_save: without ensure_weight_tying"));
  CHECK(
      refused(good, {.quantization = Quantization{}}).starts_with("quantization: quantised weights cannot"));
  CHECK(refused(good, {.frozen_dtype = DType::f16}).starts_with("frozen_dtype: frozen weights are held"));
  config = good;
  config.model_type = ModelType::mistral;
  config.attention_bias = true;
  CHECK(refused(config, {}) == "attention_bias: a mistral has no biases");
  config = good;
  config.rope_scaling = RopeScaling{RopeScaling::Type::llama3, 8, 4, 4, 64};
  CHECK(refused(config, {}) == "rope_scaling.high_freq_factor: 4 is not above low_freq_factor, 4");

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

TEST_CASE("a sequence beyond the sliding window is refused, in training and in generation") {
  const auto backend = make_cpu_backend(1);
  LlamaConfig config = small_config(true);
  config.model_type = ModelType::mistral;
  config.sliding_window = 6;
  Llama model(config, {}, *backend);
  CHECK(model.forward(OwnedBatch({6, 3, 6}, 19, 1)).tokens > 0);
  const OwnedBatch longer({3, 7}, 19, 1);
  CHECK(
      refusal([&] {
        model.forward(longer);
      }).starts_with("a sequence has 7 tokens, but this model attends to the last 6 alone (sliding_window)"));
  KvCache cache = model.make_cache(1, 10);
  const std::span<const std::uint32_t> ids(longer.ids);
  const std::uint32_t slots[] = {0}, six[] = {0, 6}, one[] = {0, 1};
  model.decode({ids.first(6), six, slots}, cache);
  CHECK_THROWS_AS(model.decode({ids.subspan(6, 1), one, slots}, cache), std::invalid_argument);
}
