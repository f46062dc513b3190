// Models that are damaged or were made to harm, given to the engine's program: an error that names file and
// tensor, exit status 1, and nothing left behind.
#include <doctest/doctest.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "engine/io/hf_config.h"
#include "engine/io/hf_model_writer.h"
#include "skip.h"
#include "temporary_directory.h"
#include "tiny_run.h"

using namespace ziptie;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Outcome {
  int status;
  std::string said;
};

Outcome call(const std::string& arguments) {
  FILE* pipe = ::popen((std::string("'") + ZIPTIE_ENGINE + "' " + arguments + " 2>&1").c_str(), "r");
  std::string said;
  char chunk[4096];
  while (const std::size_t got = ::fread(chunk, 1, sizeof chunk, pipe)) said.append(chunk, got);
  const int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, said};
}

/// The parts of a safetensors file.
struct Parts {
  json header;
  std::string data;

  explicit Parts(const std::string& file) {
    std::uint64_t length;
    std::memcpy(&length, file.data(), sizeof length);
    header = json::parse(file.substr(sizeof length, length));
    data = file.substr(sizeof length + length);
  }
  static std::string join(const std::string& header, const std::string& data) {
    const std::uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
  }
  std::string join() const { return join(header.dump(), data); }
};

constexpr const char* norm = "model.norm.weight";

/// A good model, with an adapter, whose weights a test may spoil.
struct Fixture {
  TemporaryDirectory directory;
  fs::path model = directory / "model", weights = model / "model.safetensors";
  std::string good;

  Fixture() {
    LlamaConfig config;
    config.hidden_size = 16, config.intermediate_size = 24, config.num_hidden_layers = 1;
    config.num_attention_heads = 4, config.num_key_value_heads = 2, config.head_dim = 4,
    config.vocab_size = 32;
    config.max_position_embeddings = 64, config.tie_word_embeddings = true;
    const auto backend = make_cpu_backend(1);
    Llama written(config, {.train = false}, *backend);
    written.initialize_base(1);
    fs::create_directory(model);
    write_hf_model(model, written, "", {});
    good = file_text(weights);
    std::ofstream(directory / "prompts.jsonl") << R"({"id": 1, "input_ids": [1, 2]})"
                                               << "\n";
  }

  void spoil(const std::string& contents) { std::ofstream(weights, std::ios::binary) << contents; }
  void spoil(const std::function<void(Parts&)>& change) {
    Parts parts(good);
    change(parts);
    spoil(parts.join());
  }
  Outcome generate(const std::string& more = "") {
    return call("generate --model '" + model.string() + "' --prompts '" +
                (directory / "prompts.jsonl").string() + "' --max-new-tokens 1 --threads 1" + more);
  }
  /// Every command that reads a model refuses it with these words after the name of the file.
  void check_refused(const std::string& words, const fs::path& file = {}) {
    const std::string expected = "ziptie-engine: " + (file.empty() ? weights : file).string() + ": " + words;
    const Outcome generated = generate();
    CHECK(generated.status == 1);
    CHECK_MESSAGE(generated.said.starts_with(expected), generated.said);
    CHECK(std::count(generated.said.begin(), generated.said.end(), '\n') == 1);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "A good model is run") {
  const Outcome outcome = generate();
  CHECK_MESSAGE(outcome.status == 0, outcome.said);
}

TEST_CASE_FIXTURE(Fixture, "A truncated file is refused wherever it ends") {
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{3}, std::size_t{100}, good.size() / 2, good.size() - 1}) {
    CAPTURE(length);
    spoil(good.substr(0, length));
    const Outcome outcome = generate();
    CHECK(outcome.status == 1);
    CHECK_MESSAGE(outcome.said.starts_with("ziptie-engine: " + weights.string() + ": "), outcome.said);
  }
}

TEST_CASE_FIXTURE(Fixture, "Headers that cannot be are refused by the tensor that is wrong") {
  const std::string tensor = std::string("tensor '") + norm + "': ";
  SUBCASE("a length beyond all files") {
    std::string absurd = good;
    absurd[7] = '\x7f';
    spoil(absurd);
    check_refused("its header claims");
  }
  SUBCASE("nested without end") {
    spoil(Parts::join(std::string(1 << 20, '['), ""));
    check_refused("its header: nested more than 64 deep");
  }
  SUBCASE("nested without end within an entry") {
    spoil(Parts::join(R"({"a":)" + std::string(1 << 20, '['), ""));
    check_refused("its header: nested more than 64 deep");
  }
  SUBCASE("a key that is there twice") {
    const Parts parts(good);
    std::string header = parts.header.dump();
    header.insert(1, std::string("\"") + norm + "\":{},");
    spoil(Parts::join(header, parts.data));
    check_refused(std::string("its header: the key \"") + norm + "\" is there twice");
  }
  SUBCASE("tensors that overlap") {
    spoil([](Parts& parts) {
      const auto& before = parts.header["model.layers.0.self_attn.v_proj.weight"]["data_offsets"];
      const std::int64_t end = before[1];
      parts.header[norm]["data_offsets"] = {end - 64, end};
    });
    check_refused("tensors 'model.layers.0.self_attn.v_proj.weight' and 'model.norm.weight' overlap");
  }
  SUBCASE("negative offsets") {
    spoil([](Parts& parts) { parts.header[norm]["data_offsets"] = {-64, 0}; });
    check_refused(tensor + "data_offsets [-64,0] are not two byte offsets");
  }
  SUBCASE("offsets that overflow") {
    spoil([](Parts& parts) { parts.header[norm]["data_offsets"] = {UINT64_MAX - 63, UINT64_MAX}; });
    check_refused(tensor + "data_offsets [18446744073709551552, 18446744073709551615] do not lie within");
  }
  SUBCASE("a shape that overflows") {
    spoil([](Parts& parts) { parts.header[norm]["shape"] = {1LL << 33, 1LL << 33}; });
    check_refused(tensor + "shape [8589934592, 8589934592] is more than a file can hold");
  }
  SUBCASE("a negative shape") {
    spoil([](Parts& parts) { parts.header[norm]["shape"] = {-16}; });
    check_refused(tensor + "shape [-16] holds something other than lengths");
  }
}

TEST_CASE_FIXTURE(Fixture, "Weights that are not the model's, or no numbers, are refused by their name") {
  SUBCASE("another shape") {
    spoil([](Parts& parts) { parts.header[norm]["shape"] = {2, 8}; });
    check_refused(std::string("tensor '") + norm + "' has shape [2, 8], the model needs [16]");
  }
  for (const float number : {std::nanf(""), INFINITY}) {
    spoil([&](Parts& parts) {
      const std::size_t at = parts.header[norm]["data_offsets"][0];
      std::memcpy(parts.data.data() + at + 3 * sizeof number, &number, sizeof number);
    });
    check_refused(std::string("tensor '") + norm + "' holds " + (std::isnan(number) ? "nan" : "inf") +
                  " at element 3");
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "Shards that are missing, and configurations that cannot be, are refused by their file") {
  SUBCASE("a shard") {
    fs::rename(weights, model / "model-00001-of-00002.safetensors");
    json index;
    const Parts parts(good);
    for (const auto& [name, entry] : parts.header.items()) {
      if (name != "__metadata__") index["weight_map"][name] = "model-00001-of-00002.safetensors";
    }
    index["weight_map"][norm] = "model-00002-of-00002.safetensors";
    std::ofstream(model / "model.safetensors.index.json") << index;
    check_refused("cannot open: No such file or directory", model / "model-00002-of-00002.safetensors");
  }
  SUBCASE("nested without end") {
    std::ofstream(model / "config.json") << R"({"model_type": )" << std::string(1 << 20, '[');
    check_refused("nested more than 64 deep", model / "config.json");
  }
  SUBCASE("a number beyond all models") {
    auto config = json::parse(file_text(model / "config.json"));
    config["vocab_size"] = 1LL << 52;
    std::ofstream(model / "config.json") << config;
    check_refused("vocab_size: 4503599627370496 is not between", model / "config.json");
  }
}

TEST_CASE_FIXTURE(
    Fixture, "A run whose model is damaged says so in its events, and leaves neither model nor checkpoint") {
  spoil(good.substr(0, good.size() - 5));
  auto plan = tiny_plan(directory.path(), 3);
  plan["model"] = {{"path", model.string()}, {"vocabulary", nullptr}};
  std::ofstream(directory / "plan.json") << plan;
  const Outcome outcome = call("train '" + (directory / "plan.json").string() + "'");
  CHECK(outcome.status == 1);
  CHECK_MESSAGE(outcome.said.find(weights.string() + ": tensor '") != std::string::npos, outcome.said);
  const auto failed = events_named(directory / "run", "run_failed");
  REQUIRE(failed.size() == 1);
  CHECK(failed[0]["reason"].get<std::string>().starts_with(weights.string()));
  CHECK_FALSE(fs::exists(directory / "run/model"));
  CHECK_FALSE(fs::exists(directory / "run/checkpoints"));
}

TEST_CASE_FIXTURE(Fixture, "A model that is larger than the machine is refused before its weights are read") {
  // 2^40 numbers in the embedding, of which the file takes no room on the disk.
  constexpr std::int64_t vocabulary = 1 << 22, hidden = 1 << 18;
  json config = json::parse(file_text(model / "config.json"));
  config.update({{"vocab_size", vocabulary},
                 {"hidden_size", hidden},
                 {"num_hidden_layers", 1},
                 {"intermediate_size", 1},
                 {"num_attention_heads", 1},
                 {"num_key_value_heads", 1},
                 {"head_dim", 2}});
  std::ofstream(model / "config.json") << config;
  json header;
  std::int64_t end = 0;
  for (const WeightShape& weight : weight_shapes(read_hf_config(model))) {
    std::int64_t bytes = 2;
    for (const std::int64_t length : weight.shape) bytes *= length;
    header[weight.name] = {{"dtype", "BF16"}, {"shape", weight.shape}, {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  const std::string begin = Parts::join(header.dump(), "");
  spoil(begin);
  std::error_code too_large;
  fs::resize_file(weights, begin.size() + static_cast<std::uintmax_t>(end), too_large);
  if (too_large) return skip("this file system holds no such files: " + too_large.message());
  const Outcome outcome = generate();
  CHECK(outcome.status == 1);
  CHECK_MESSAGE(
      outcome.said.starts_with("ziptie-engine: The weights of this model take 2048.0 GiB, this machine has"),
      outcome.said);
}

TEST_CASE_FIXTURE(Fixture,
                  "An adapter that does not fit is refused before the weights of its base are read") {
  spoil([](Parts& parts) { parts.data.assign(parts.data.size(), '\xff'); });  // NaN
  const auto adapter = directory / "adapter";
  fs::create_directory(adapter);
  const json config = {{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 4}, {"target_modules", {"q_proj"}}};
  const auto refused = [&](const json& described, const std::string& words) {
    std::ofstream(adapter / "adapter_config.json") << described;
    const Outcome outcome = generate(" --adapter '" + adapter.string() + "'");
    CHECK(outcome.status == 1);
    CHECK_MESSAGE(outcome.said.starts_with("ziptie-engine: " + adapter.string() + "/" + words), outcome.said);
  };
  refused(config, "adapter_model.safetensors: cannot open");
  const std::vector<float> values(2 * 8);
  const std::vector<TensorContents> tensors = {
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
       DType::f32,
       {2, 8},
       std::as_bytes(std::span(values))}};
  write_safetensors(adapter / "adapter_model.safetensors", tensors, {});
  refused(
      config,
      "adapter_model.safetensors: tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' "
      "has shape [2, 8], the model needs [2, 16]");
  json elsewhere = config;
  elsewhere["target_modules"] = {"query"};
  refused(elsewhere,
          "adapter_config.json: does not fit the model: target_modules: query names no linear layer");
}
