#include "engine/io/hf_model.h"

#include <doctest/doctest.h>

#include <cmath>
#include <deque>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/io/hf_config.h"
#include "engine/io/hf_model_writer.h"
#include "engine/io/peft_adapter.h"
#include "engine/io/tensor_transfer.h"
#include "refusal.h"
#include "temporary_directory.h"
#include "tiny_run.h"

using namespace ziptie;
using nlohmann::json;

namespace {

LlamaConfig tiny_config(bool tied) {
  LlamaConfig config;
  config.hidden_size = 8, config.intermediate_size = 12, config.num_hidden_layers = 2,
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1, config.head_dim = 4, config.vocab_size = 10,
  config.max_position_embeddings = 16;
  config.tie_word_embeddings = tied, config.bos_token_id = 1, config.eos_token_id = 2;
  return config;
}

std::vector<float> values_of(Llama& model, const std::string& name) {
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.name != name) continue;
    std::vector<float> values(static_cast<std::size_t>(parameter.value.elements()));
    model.backend().copy_to_host(values.data(), parameter.value.data, values.size() * sizeof(float));
    return values;
  }
  throw std::out_of_range(name);
}

/// A written model whose files a test may spoil.
struct Fixture {
  TemporaryDirectory directory;
  std::unique_ptr<Backend> backend = make_cpu_backend(1);
  Llama model{tiny_config(false), {}, *backend};

  Fixture() {
    model.initialize_base(3);
    write_hf_model(directory.path(), model, "", {});
  }
  void change_config(const std::function<void(json&)>& change) {
    json config = json::parse(file_text(directory / "config.json"));
    change(config);
    std::ofstream(directory / "config.json") << config;
  }
  std::string open_refusal() {
    return refusal([&] { HfModel opened(directory.path()); });
  }
  void write_weights(const std::vector<TensorContents>& tensors,
                     const std::string& name = "model.safetensors") {
    write_safetensors(directory / name, tensors, {});
  }
  /// The tensors of the written file.
  std::vector<TensorContents> tensors(const SafetensorsFile& file) {
    std::vector<TensorContents> tensors;
    for (const auto& [name, tensor] : file.tensors())
      tensors.push_back({name, tensor.dtype, tensor.shape, contents.emplace_back(file.read(tensor))});
    return tensors;
  }
  std::deque<std::vector<std::byte>> contents;  ///< what `tensors` point into
};

}  // namespace

TEST_CASE("A model that is written is read back, tied or not") {
  for (const bool tied : {false, true}) {
    const TemporaryDirectory directory;
    const auto backend = make_cpu_backend(1);
    Llama model(tiny_config(tied), {}, *backend);
    model.initialize_base(3);
    std::ofstream(directory / "tokenizer.json") << "{}";
    std::filesystem::create_directory(directory / "model");
    write_hf_model(directory / "model", model, "", std::vector{directory / "tokenizer.json"});
    CHECK(file_text(directory / "model/tokenizer.json") == "{}");

    const HfModel written(directory / "model");
    CHECK(written.config().tie_word_embeddings == tied);
    CHECK(written.config().eos_token_id == 2);
    Llama loaded(written.config(), {}, *backend);
    written.load_into(loaded);
    for (const Parameter& parameter : model.parameters()) {
      CHECK(values_of(loaded, parameter.name) == values_of(model, parameter.name));
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "What the engine cannot honour in config.json is refused by its key") {
  struct Case {
    std::function<void(json&)> change;
    const char* message;
  };
  const std::vector<Case> cases = {
      {[](json& c) { c["model_type"] = "gpt2"; }, "model_type: 'gpt2' is not supported"},
      {[](json& c) { c.erase("model_type"); }, "model_type: the key is missing"},
      {[](json& c) { c["hidden_act"] = "gelu"; }, "hidden_act: 'gelu' is not supported"},
      {[](json& c) { c["mlp_bias"] = true; }, "mlp_bias: biases in the MLP are not supported"},
      {[](json& c) { c["attention_dropout"] = 0.1; }, "attention_dropout: dropout in attention"},
      {[](json& c) {
         c["rope_scaling"] = {{"rope_type", "llama3"}};
       },
       "rope_scaling.factor: the key is missing"},
      {[](json& c) {
         c["rope_scaling"] = {{"type", "dynamic"}, {"factor", 2}};
       },
       "rope_scaling.type: rotary embeddings scaled by 'dynamic'"},
      {[](json& c) {
         c["rope_scaling"] = {{"type", "linear"}, {"factor", 0.5}};
       },
       "rope_scaling.factor: 0.5 is not at least 1"},
      {[](json& c) {
         c["rope_parameters"] = {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}};
       },
       "rope_parameters.partial_rotary_factor: rotary embeddings of a part"},
      {[](json& c) {
         c["rope_parameters"] = {{"rope_type", "yarn"}};
       },
       "rope_parameters.rope_type: rotary embeddings scaled by 'yarn'"},
      {[](json& c) {
         c["quantization_config"] = {{"bits", 4}};
       },
       "quantization_config.load_in_4bit: only weights in 4 bits are supported"},
      {[](json& c) { c["hidden_size"] = "8"; }, "hidden_size: expected a whole number, found \"8\""},
      {[](json& c) { c["hidden_size"] = -8; }, "hidden_size: expected at least 1, found -8"},
      {[](json& c) { c["vocab_size"] = 1LL << 50; }, "vocab_size: 1125899906842624 is not between"},
      {[](json& c) { c["num_key_value_heads"] = 3; },
       "num_key_value_heads: 3 does not divide num_attention_heads, 2"},
      {[](json& c) { c["head_dim"] = 3; }, "head_dim: 3 is odd"},
  };
  const std::string original = file_text(directory / "config.json");
  for (const Case& c : cases) {
    std::ofstream(directory / "config.json") << original;
    change_config(c.change);
    const std::string message = open_refusal();
    CHECK_MESSAGE(message.starts_with((directory / "config.json").string() + ": " + c.message), message);
  }
}

TEST_CASE_FIXTURE(Fixture, "transformers 5's rope_parameters are understood") {
  change_config([](json& c) {
    c.erase("rope_theta");
    c["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  });
  CHECK(read_hf_config(directory.path()).rope_theta == 500000);
}

TEST_CASE_FIXTURE(Fixture,
                  "Weights that do not fit the configuration are refused before anything is allocated") {
  std::filesystem::rename(directory / "model.safetensors", directory / "original");
  const SafetensorsFile original(directory / "original");
  SUBCASE("missing") {
    auto tensors = this->tensors(original);
    std::erase_if(tensors, [](const TensorContents& tensor) { return tensor.name == "model.norm.weight"; });
    write_weights(tensors);
    CHECK(open_refusal().ends_with("there is no tensor 'model.norm.weight', which config.json calls for"));
  }
  SUBCASE("of another shape") {
    auto tensors = this->tensors(original);
    for (auto& tensor : tensors) {
      if (tensor.name == "model.layers.1.mlp.up_proj.weight") tensor.shape = {8, 12};
    }
    write_weights(tensors);
    CHECK(open_refusal().ends_with(
        "tensor 'model.layers.1.mlp.up_proj.weight' has shape [8, 12], the model needs [12, 8]"));
  }
  SUBCASE("of another type") {
    auto tensors = this->tensors(original);
    for (auto& tensor : tensors) {
      if (tensor.name == "model.norm.weight") tensor.dtype = DType::u32;
    }
    write_weights(tensors);
    CHECK(open_refusal().ends_with("tensor 'model.norm.weight' is U32, not floating-point"));
  }
  SUBCASE("left over") {
    auto tensors = this->tensors(original);
    tensors.push_back(tensors[0]);
    tensors.back().name = "model.layers.2.extra";
    write_weights(tensors);
    CHECK(open_refusal().ends_with(
        "tensor 'model.layers.2.extra' has no place in the model that config.json describes"));
  }
  SUBCASE("not finite") {
    auto tensors = this->tensors(original);
    std::vector<float> spoilt(8, std::nanf(""));
    for (auto& tensor : tensors) {
      if (tensor.name == "model.norm.weight") tensor.bytes = std::as_bytes(std::span(spoilt));
    }
    write_weights(tensors);
    const HfModel opened(directory.path());
    CHECK(refusal([&] {
            opened.load_into(model);
          }).find("tensor 'model.norm.weight' holds nan at element 0") != std::string::npos);
  }
  SUBCASE("nowhere") {
    CHECK(open_refusal().ends_with("there is neither model.safetensors nor model.safetensors.index.json"));
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "A model is run in bfloat16 where every matrix is stored so, which changes no number") {
  CHECK(HfModel(directory.path()).options_to_run().frozen_dtype == DType::f32);
  std::filesystem::rename(directory / "model.safetensors", directory / "original");
  const SafetensorsFile original(directory / "original");
  const auto write_in_bf16 = [&](const std::string& but_for) {
    auto tensors = this->tensors(original);
    for (TensorContents& tensor : tensors) {
      if (tensor.name == but_for) continue;
      auto& bytes = contents.emplace_back(tensor.bytes.size() / 2);
      (void)narrow(read_tensor(original, original.at(tensor.name)), DType::bf16, bytes);
      tensor.dtype = DType::bf16;
      tensor.bytes = bytes;
    }
    write_weights(tensors);
  };
  write_in_bf16("model.layers.1.mlp.up_proj.weight");
  CHECK(HfModel(directory.path()).options_to_run().frozen_dtype == DType::f32);
  write_in_bf16("");
  const HfModel stored(directory.path());
  const ModelOptions options = stored.options_to_run();
  CHECK(options.frozen_dtype == DType::bf16);
  CHECK(!options.quantization);
  Llama narrow(stored.config(), options, *backend), wide(stored.config(), {.train = false}, *backend);
  stored.load_into(narrow);
  stored.load_into(wide);
  for (std::size_t i = 0; i < narrow.parameters().size(); ++i)
    CHECK(read_parameter(narrow.parameters()[i], *backend) == read_parameter(wide.parameters()[i], *backend));
}

TEST_CASE_FIXTURE(Fixture,
                  "Sharded weights are read through their index, which may only name files beside it") {
  std::filesystem::rename(directory / "model.safetensors", directory / "original");
  const SafetensorsFile original(directory / "original");
  auto tensors = this->tensors(original);
  const std::vector<TensorContents> first(tensors.begin(), tensors.begin() + 5),
      second(tensors.begin() + 5, tensors.end());
  write_weights(first, "model-00001-of-00002.safetensors");
  write_weights(second, "model-00002-of-00002.safetensors");
  json index;
  for (const auto& tensor : first) index["weight_map"][tensor.name] = "model-00001-of-00002.safetensors";
  for (const auto& tensor : second) index["weight_map"][tensor.name] = "model-00002-of-00002.safetensors";
  const auto write_index = [&] { std::ofstream(directory / "model.safetensors.index.json") << index; };
  write_index();
  Llama loaded(tiny_config(false), {}, *backend);
  HfModel(directory.path()).load_into(loaded);
  CHECK(values_of(loaded, "lm_head.weight") == values_of(model, "lm_head.weight"));

  index["weight_map"]["lm_head.weight"] = "../model-00001-of-00002.safetensors";
  write_index();
  CHECK(open_refusal().find(
            "weight_map.lm_head.weight: '../model-00001-of-00002.safetensors' is not the name of a file") !=
        std::string::npos);
  index["weight_map"]["lm_head.weight"] = "model-00001-of-00002.safetensors";
  index["weight_map"]["model.norm.weight"] = "model-00001-of-00002.safetensors";
  write_index();
  CHECK_MESSAGE(
      open_refusal().ends_with("model-00001-of-00002.safetensors: there is no tensor 'model.norm.weight'"),
      open_refusal());
}

TEST_CASE("Half-precision numbers widen exactly, subnormals and infinities included") {
  const std::vector<std::uint16_t> halves = {0x3c00, 0xc000, 0x0001, 0x8000, 0x03ff, 0x7bff, 0x7c00};
  std::vector<float> wide(halves.size());
  CHECK(widen(std::as_bytes(std::span(halves)), DType::f16, wide) == 6);
  CHECK(wide == std::vector<float>{1, -2, 0x1p-24F, -0.0F, 0x1.ff8p-15F, 65504, INFINITY});
  CHECK(std::signbit(wide[3]));
  const std::vector<std::uint16_t> brains = {0x3f80, 0xc040, 0x7fc0};
  wide.resize(brains.size());
  CHECK(widen(std::as_bytes(std::span(brains)), DType::bf16, wide) == 2);
  CHECK(wide[0] == 1);
  CHECK(wide[1] == -3);
}

TEST_CASE("An adapter is written under PEFT's names and read back") {
  const TemporaryDirectory directory;
  const auto backend = make_cpu_backend(1);
  const AdapterConfig config{4, 8, 0.05, true, {"q_proj", "down_proj"}};
  Llama model(tiny_config(false), {.adapter = config}, *backend);
  model.initialize_adapter(5);
  write_adapter(directory.path(), model, config, "/models/base");

  const SafetensorsFile file(directory / "adapter_model.safetensors");
  CHECK(file.tensors().size() == 8);
  CHECK(file.at("base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight").shape ==
        std::vector<std::int64_t>{4, 8});
  CHECK(file.at("base_model.model.model.layers.0.mlp.down_proj.lora_B.weight").shape ==
        std::vector<std::int64_t>{8, 4});

  const AdapterConfig read = read_adapter_config(directory.path());
  CHECK(read.r == 4);
  CHECK(read.alpha == 8);
  CHECK(read.use_rslora);
  CHECK(read.target_modules == config.target_modules);
  Llama loaded(tiny_config(false), {.adapter = read}, *backend);
  AdapterFile(directory.path(), loaded).load();
  const std::string a = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight";
  CHECK(values_of(loaded, a) == values_of(model, a));

  Llama other(tiny_config(false), {.adapter = AdapterConfig{4, 8, 0, false, {"q_proj"}}}, *backend);
  CHECK(refusal([&] {
          AdapterFile(directory.path(), other).load();
        }).find("has no place in the model with this adapter") != std::string::npos);
}

TEST_CASE("Adapters of other kinds are refused by their key") {
  const TemporaryDirectory directory;
  const json good = {{"peft_type", "LORA"}, {"r", 4}, {"lora_alpha", 8}, {"target_modules", {"q_proj"}}};
  const std::vector<std::pair<json, const char*>> cases = {
      {{{"peft_type", "IA3"}}, "peft_type: 'IA3' is not supported"},
      {{{"use_dora", true}}, "use_dora: is not supported"},
      {{{"bias", "all"}}, "bias: trained biases are not supported"},
      {{{"rank_pattern", {{"q_proj", 2}}}}, "rank_pattern: is not supported"},
      {{{"init_lora_weights", "pissa_niter_16"}},
       "init_lora_weights: 'pissa_niter_16' changes the base weights"},
      {{{"alora_invocation_tokens", {1, 2}}}, "alora_invocation_tokens: is not supported"},
      {{{"target_modules", ".*q_proj"}}, "target_modules: the pattern '.*q_proj' is not supported"},
  };
  for (const auto& [change, message] : cases) {
    json config = good;
    config.update(change);
    std::ofstream(directory / "adapter_config.json") << config;
    const std::string refused = refusal([&] { read_adapter_config(directory.path()); });
    CHECK_MESSAGE(refused.starts_with((directory / "adapter_config.json").string() + ": " + message),
                  refused);
  }
}
