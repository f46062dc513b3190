#include "engine/io/peft_adapter.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"
#include "model_fixture.h"
#include "refusal.h"
#include "temporary_directory.h"

using namespace ziptie;
using nlohmann::json;

namespace {

using Shape = std::vector<std::int64_t>;

json written_config(const TemporaryDirectory& directory) {
  return json::parse(std::ifstream(directory / "adapter_config.json"));
}

/// A model with random adapters, written; what was read of it again must be the same.
void check_round_trip(const LlamaConfig& config, const AdapterConfig& adapter) {
  const TemporaryDirectory directory;
  const auto backend = make_cpu_backend(1);
  Llama model(config, {.adapter = adapter}, *backend);
  model.initialize_base(1);
  randomise_adapters(model, 2);
  write_adapter(directory.path(), model, adapter, "/models/base");
  Llama loaded(config, {.adapter = read_adapter_config(directory.path())}, *backend);
  loaded.initialize_base(1);
  AdapterFile(directory.path(), loaded).load();
  const OwnedBatch batch({9, 4}, 19, 3);
  CHECK(loaded.logits(batch) == model.logits(batch));
}

}  // namespace

TEST_CASE("Adapters of every module are written and read back") {
  AdapterConfig everything = adapter_of(everywhere);
  check_round_trip(small_config(false), everything);
  check_round_trip(small_config(true), everything);
  everything.ensure_weight_tying = false;
  check_round_trip(small_config(true), everything);
  AdapterConfig saved = adapter_of({"q_proj"});
  saved.use_rslora = true;
  saved.modules_to_save = {"lm_head", "norm"};
  check_round_trip(small_config(false), saved);
  check_round_trip(small_config(true), saved);
}

TEST_CASE("Any alpha that PEFT takes is kept, and one that no number is left of is refused") {
  const TemporaryDirectory directory;
  const auto read_with = [&](const char* key, const json& value) {
    json config = adapter_config_json(small_config(false), adapter_of({"q_proj"}), "");
    config[key] = value;
    std::ofstream(directory / "adapter_config.json") << config;
    return read_adapter_config(directory.path());
  };
  for (const double alpha : {16.0, 0.5, -3.0, 0x1p53}) {
    const AdapterConfig read = read_with("lora_alpha", alpha);
    CHECK(read.alpha == alpha);
    CHECK(adapter_config_json(small_config(false), read, "")["lora_alpha"] == alpha);
  }
  CHECK(adapter_config_json(small_config(false), read_with("lora_alpha", 16.0), "")["lora_alpha"]
            .is_number_integer());
  const auto refused = [&](const char* key, const json& value) {
    const std::string message = refusal([&] { read_with(key, value); });
    CHECK_MESSAGE(
        message.find(std::string("adapter_config.json: ") + key + ": expected") != std::string::npos,
        message);
  };
  refused("lora_alpha", 0x1p63);
  refused("lora_alpha", -1e300);
  refused("lora_alpha", "16");
  refused("lora_dropout", 1);
}

TEST_CASE("A tied adapter is held once and written at both ends, turned over at the embedding") {
  const TemporaryDirectory directory;
  const auto backend = make_cpu_backend(1);
  const AdapterConfig adapter = adapter_of({"v_proj", "lm_head"});
  Llama model(small_config(true), {.adapter = adapter}, *backend);
  randomise_adapters(model, 2);
  const auto held = std::ranges::count_if(model.parameters(), [](const Parameter& parameter) {
    return parameter.group == ParameterGroup::embedding && !parameter.in_base();
  });
  CHECK(held == 2);
  write_adapter(directory.path(), model, adapter, "");
  CHECK(written_config(directory)["target_modules"] == json({"v_proj", "embed_tokens"}));
  CHECK(written_config(directory)["ensure_weight_tying"] == true);

  const SafetensorsFile file(directory / "adapter_model.safetensors");
  const std::string prefix = "base_model.model.";
  CHECK(file.at(prefix + "model.embed_tokens.lora_embedding_A").shape == Shape{3, 19});
  CHECK(file.at(prefix + "model.embed_tokens.lora_embedding_B").shape == Shape{12, 3});
  CHECK(file.at(prefix + "lm_head.lora_A.weight").shape == Shape{3, 12});
  CHECK(file.at(prefix + "lm_head.lora_B.weight").shape == Shape{19, 3});
  CHECK(file.tensors().size() == 4 + 2 * 2);
}

TEST_CASE("An adapter whose two ends differ is refused in a tied model") {
  const TemporaryDirectory directory;
  const auto backend = make_cpu_backend(1);
  AdapterConfig adapter = adapter_of({"embed_tokens", "lm_head"});
  adapter.ensure_weight_tying = false;
  Llama model(small_config(true), {.adapter = adapter}, *backend);
  randomise_adapters(model, 2);
  write_adapter(directory.path(), model, adapter, "");
  CHECK(written_config(directory)["ensure_weight_tying"] == false);
  adapter.ensure_weight_tying = true;
  Llama tied(small_config(true), {.adapter = adapter}, *backend);
  CHECK(refusal([&] {
          AdapterFile(directory.path(), tied).load();
        }).find("are one in this tied model, but they differ") != std::string::npos);
}

TEST_CASE("Only what is trained is written, whole modules under their own names") {
  const TemporaryDirectory directory;
  const auto backend = make_cpu_backend(1);
  AdapterConfig adapter = adapter_of({"q_proj"});
  adapter.modules_to_save = {"embed_tokens", "input_layernorm"};
  Llama model(small_config(false), {.adapter = adapter}, *backend);
  write_adapter(directory.path(), model, adapter, "");
  CHECK(written_config(directory)["modules_to_save"] == json({"embed_tokens", "input_layernorm"}));
  const SafetensorsFile file(directory / "adapter_model.safetensors");
  CHECK(file.at("base_model.model.model.embed_tokens.weight").shape == Shape{19, 12});
  CHECK(file.at("base_model.model.model.layers.1.input_layernorm.weight").shape == Shape{12});
  CHECK(file.tensors().size() == 4 + 1 + 2);
  for (const Parameter& parameter : model.parameters())
    CHECK(parameter.gradient.has_value() == !parameter.adapter_tensors.empty());
}
