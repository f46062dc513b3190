#include "engine/io/hf_config.h"

#include <doctest/doctest.h>

#include <fstream>

#include "refusal.h"
#include "temporary_directory.h"

using namespace ziptie;
using nlohmann::json;

namespace {

LlamaConfig config_of(ModelType type) {
  LlamaConfig config;
  config.model_type = type;
  config.hidden_size = 8, config.intermediate_size = 12, config.num_hidden_layers = 2;
  config.num_attention_heads = 2, config.num_key_value_heads = 1, config.head_dim = 6;
  config.vocab_size = 10, config.max_position_embeddings = 16;
  config.attention_bias = type == ModelType::qwen2;
  config.eos_token_id = 2;
  return config;
}

LlamaConfig read_back(const json& config) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "config.json") << config;
  return read_hf_config(directory.path());
}

LlamaConfig read_changed(ModelType type, const json& changes) {
  json config = hf_config_json(config_of(type));
  config.update(changes);
  return read_back(config);
}

}  // namespace

TEST_CASE("Each family's configuration is written and read back") {
  for (const ModelType type : {ModelType::llama, ModelType::mistral, ModelType::qwen2}) {
    LlamaConfig config = config_of(type);
    config.rope_scaling = RopeScaling{RopeScaling::Type::llama3, 8, 1, 4, 64};
    if (type != ModelType::llama) config.sliding_window = 12;
    const LlamaConfig read = read_back(hf_config_json(config));
    CHECK(hf_config_json(read) == hf_config_json(config));
    CHECK(read.model_type == type);
    CHECK(read.head_dim == 6);
    CHECK(read.attention_bias == (type == ModelType::qwen2));
    CHECK(read.sliding_window == config.sliding_window);
    REQUIRE(read.rope_scaling);
    CHECK(read.rope_scaling->original_max_position_embeddings == 64);
  }
}

TEST_CASE("A standard deviation from which no rows could be drawn is refused by its key") {
  for (const double range : {1e300, -0.02}) {
    const std::string message = refusal([&] {
      read_changed(ModelType::llama, {{"initializer_range", range}});
    });
    CHECK_MESSAGE(message.find("config.json: initializer_range: ") != std::string::npos, message);
  }
}

TEST_CASE("Scaled rotary embedding is understood in the keys of transformers 4 and 5") {
  const auto linear = read_changed(ModelType::llama, {{"rope_scaling", {{"type", "linear"}, {"factor", 2}}}});
  REQUIRE(linear.rope_scaling);
  CHECK(linear.rope_scaling->type == RopeScaling::Type::linear);
  CHECK(linear.rope_scaling->factor == 2);
  const json llama3 = {{"rope_type", "llama3"},
                       {"rope_theta", 500000.0},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0}};
  const auto scaled = read_changed(ModelType::llama, {{"rope_parameters", llama3}});
  CHECK(scaled.rope_theta == 500000);
  REQUIRE(scaled.rope_scaling);
  CHECK(scaled.rope_scaling->type == RopeScaling::Type::llama3);
  CHECK(scaled.rope_scaling->original_max_position_embeddings ==
        16);  // the model's own, when it is not named
  CHECK_FALSE(read_changed(ModelType::llama, {{"rope_scaling", {{"rope_type", "default"}}}}).rope_scaling);
}

TEST_CASE("Biases are where each family has them") {
  const auto names = [](const LlamaConfig& config) {
    std::string biases;
    for (const WeightShape& weight : weight_shapes(config))
      if (weight.name.ends_with(".bias") && weight.name.starts_with("model.layers.1."))
        biases += weight.name[25];
    return biases;
  };
  CHECK(names(config_of(ModelType::llama)).empty());
  CHECK(names(config_of(ModelType::mistral)).empty());
  CHECK(names(config_of(ModelType::qwen2)) == "qkv");
  CHECK(names(read_changed(ModelType::llama, {{"attention_bias", true}})) == "qkvo");
}

TEST_CASE("A sliding window is known where a layer has one") {
  const auto mistral = [](const json& changes) {
    return read_changed(ModelType::mistral, changes).sliding_window;
  };
  CHECK(mistral({{"sliding_window", 4}}) == 4);
  CHECK_FALSE(mistral({{"sliding_window", nullptr}}));
  json silent = hf_config_json(config_of(ModelType::mistral));
  silent.erase("sliding_window");
  CHECK(read_back(silent).sliding_window == 4096);
  const auto qwen2 = [](const json& changes) {
    return read_changed(ModelType::qwen2, changes).sliding_window;
  };
  CHECK_FALSE(qwen2({{"use_sliding_window", false}, {"sliding_window", 4}, {"max_window_layers", 0}}));
  CHECK_FALSE(qwen2({{"use_sliding_window", true}, {"sliding_window", 4}, {"max_window_layers", 2}}));
  CHECK(qwen2({{"use_sliding_window", true}, {"sliding_window", 4}, {"max_window_layers", 1}}) == 4);
  CHECK_FALSE(qwen2({{"use_sliding_window", true},
                     {"sliding_window", 4},
                     {"max_window_layers", 1},
                     {"layer_types", {"full_attention", "full_attention"}}}));
}
