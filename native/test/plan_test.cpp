#include "engine/train/plan.h"

#include <doctest/doctest.h>

#include <functional>

#include "engine/train/plan_difference.h"
#include "refusal.h"
#include "temporary_directory.h"
#include "tiny_run.h"

using namespace ziptie;
using nlohmann::json;

namespace {

/// A plan of a random initialisation that uses everything that goes with it.
json complete_plan() {
  const TemporaryDirectory directory;
  json plan = tiny_plan(directory.path(), 10);
  plan["adapter"] = {{"r", 8},
                     {"alpha", 16},
                     {"dropout", 0.05},
                     {"use_rslora", false},
                     {"target_modules", {"q_proj"}},
                     {"modules_to_save", json::array()}};
  plan["quantization"] = {{"type", "nf4"}, {"double_quant", true}};
  return plan;
}

/// The same of a base whose vocabulary grows.
json growing_plan() {
  json plan = complete_plan();
  plan["model"] = {
      {"path", "/model"},
      {"vocabulary",
       {{"size", 40}, {"base_size", 32}, {"initialization", "zip-tie"}, {"map", "/map.json"}, {"seed", 5}}}};
  return plan;
}

}  // namespace

TEST_CASE("A complete plan is read") {
  const Plan plan = parse_plan(complete_plan(), "plan.json");
  CHECK(plan.model_path.empty());
  CHECK(plan.architecture->head_dim == 4);
  CHECK(plan.adapter->target_modules == std::vector<std::string>{"q_proj"});
  CHECK(plan.schedule.name == ScheduleName::cosine);
  CHECK(plan.optimizer.beta2 == 0.999);
  CHECK(!plan.evaluation->on_start);
  CHECK(plan.evaluation->every_steps == 5);
  CHECK(plan.save_total_limit == 2);
  CHECK(plan.threads == 1);
  CHECK(plan.quantization->double_quant);
  CHECK(plan.frozen_dtype == DType::f32);
  CHECK(plan.recompute == Recompute::none);
  CHECK(!plan.batching.packing);
}

TEST_CASE("A plan says how many rows its shards lack, by reason; a data set may have lost all of them") {
  json value = complete_plan();
  const json dropped = {
      {"too_long", 1}, {"unsupervised", 2}, {"broken", 3}, {"template", 4}, {"tokenizer", 5}};
  value["data"].push_back({{"shards", json::array()}, {"weight", 0.5}, {"dropped", dropped}});
  value["evaluation"]["dropped"]["template"] = 6;
  const Plan plan = parse_plan(value, "plan.json");
  CHECK(plan.data[0].dropped.too_long == 0);
  CHECK(plan.data[1].shards.empty());
  CHECK(plan.data[1].dropped.used == 0);
  CHECK(plan.data[1].dropped.too_long == 1);
  CHECK(plan.data[1].dropped.unsupervised == 2);
  CHECK(plan.data[1].dropped.broken == 3);
  CHECK(plan.data[1].dropped.template_refused == 4);
  CHECK(plan.data[1].dropped.tokenizer_refused == 5);
  CHECK(plan.evaluation->dropped.template_refused == 6);
}

TEST_CASE("A base may be given more tokens than it has") {
  json value = growing_plan();
  Plan plan = parse_plan(value, "plan.json");
  CHECK(plan.model_path == "/model");
  CHECK(plan.vocabulary->size == 40);
  CHECK(plan.vocabulary->initialization == RowInitialization::zip_tie);
  CHECK(plan.vocabulary->map == "/map.json");
  value["model"]["vocabulary"]["initialization"] = "mean";
  value["model"]["vocabulary"]["map"] = nullptr;
  CHECK(parse_plan(value, "plan.json").vocabulary->map.empty());
  value["model"]["vocabulary"] = nullptr;
  CHECK(!parse_plan(value, "plan.json").vocabulary);
}

TEST_CASE("What may be null is") {
  json value = complete_plan();
  value["evaluation"]["every_steps"] = nullptr;
  value["optimizer"]["max_grad_norm"] = nullptr;
  value["checkpointing"] = {{"save_steps", nullptr}, {"save_total_limit", nullptr}};
  value["threads"] = nullptr;
  value["adapter"] = nullptr;
  value["quantization"] = nullptr;
  value["model"]["architecture"]["bos_token_id"] = nullptr;
  const Plan plan = parse_plan(value, "plan.json");
  CHECK(!plan.evaluation->every_steps);
  CHECK(!plan.optimizer.max_grad_norm);
  CHECK(!plan.save_steps);
  CHECK(plan.threads == 0);
  CHECK(!plan.adapter);
  CHECK(!plan.architecture->bos_token_id);
}

TEST_CASE("Every key is needed, wherever it is, and named by its path when it is missing") {
  for (const json& plan : {complete_plan(), growing_plan()}) {
    const json leaves = plan.flatten();
    for (const auto& [pointer, value] : leaves.items()) {
      const json::json_pointer at(pointer);
      // Without `path` the model is another kind of model; input hashes have no keys of their own.
      if (pointer == "/model/path" || pointer.starts_with("/inputs")) continue;
      if (pointer.find_last_of("0123456789") == pointer.size() - 1) continue;
      json changed = plan;
      changed[at.parent_pointer()].erase(at.back());
      std::string path = pointer.substr(1);
      std::replace(path.begin(), path.end(), '/', '.');
      if (const auto element = path.find(".0."); element != std::string::npos)
        path.replace(element, 3, "[0].");
      CHECK(refusal([&] { parse_plan(changed, "plan.json"); }) ==
            "plan.json: " + path + ": the key is missing");
    }
  }
}

TEST_CASE("Unknown keys, wrong types and impossible values are refused with the key's path") {
  struct Case {
    std::function<void(json&)> change;
    const char* message;
  };
  const std::vector<Case> cases = {
      {[](json& p) { p["packing"] = true; }, "packing: there is no such key"},
      {[](json& p) { p["optimizer"]["lr"] = 1; }, "optimizer.lr: there is no such key"},
      {[](json& p) { p["data"][0]["path"] = "/x"; }, "data[0].path: there is no such key"},
      {[](json& p) { p["model"]["architecture"]["hidden_act"] = "silu"; },
       "model.architecture.hidden_act: there is no such key"},
      {[](json& p) { p["version"] = 2; }, "version: this engine reads version 1, found 2"},
      {[](json& p) { p["stage"] = "dpo"; }, "stage: expected 'pretrain' or 'sft', found \"dpo\""},
      {[](json& p) { p["schedule"]["name"] = "wsd"; }, "schedule.name: expected 'constant', "},
      {[](json& p) { p["schedule"]["steps"] = 0; }, "schedule.steps: expected at least 1, found 0"},
      {[](json& p) { p["schedule"]["steps"] = 2.5; }, "schedule.steps: expected a whole number, found 2.5"},
      {[](json& p) { p["schedule"]["steps"] = 1e300; },
       "schedule.steps: expected a whole number, found 1e+300"},
      {[](json& p) { p["schedule"]["steps"] = "10"; },
       "schedule.steps: expected a whole number, found \"10\""},
      {[](json& p) { p["schedule"]["min_lr_rate"] = 1.5; },
       "schedule.min_lr_rate: expected 0 to 1, found 1.5"},
      {[](json& p) { p["seed"] = -1; }, "seed: expected at least 0, found -1"},
      {[](json& p) { p["batching"] = nullptr; }, "batching: expected an object, found null"},
      {[](json& p) { p["batching"]["shuffle"] = 1; }, "batching.shuffle: expected true or false, found 1"},
      {[](json& p) { p["optimizer"]["betas"] = {0.9}; }, "optimizer.betas: expected two numbers"},
      {[](json& p) { p["optimizer"]["betas"][1] = 1.0; },
       "optimizer.betas[1]: expected 0 to below 1, found 1.0"},
      {[](json& p) { p["optimizer"]["learning_rate"] = 0; },
       "optimizer.learning_rate: expected more than 0, found 0"},
      {[](json& p) { p["optimizer"]["weight_decay"] = -1; }, "optimizer.weight_decay: expected 0 or more"},
      {[](json& p) { p["data"] = json::array(); }, "data: name at least one data set"},
      {[](json& p) { p["data"][0] = "x"; }, "data[0]: expected an object, found \"x\""},
      {[](json& p) { p["data"][0]["shards"] = {"relative"}; },
       "data[0].shards: 'relative' is not an absolute path"},
      {[](json& p) { p["data"][0]["shards"] = {1}; }, "data[0].shards[0]: expected a string, found 1"},
      {[](json& p) { p["data"][0]["shards"] = json::array(); }, "data: no data set has shards"},
      {[](json& p) { p["evaluation"]["shards"] = json::array(); },
       "evaluation.shards: name at least one file"},
      {[](json& p) { p["data"][0]["dropped"]["too-long"] = 1; },
       "data[0].dropped.too-long: there is no such key"},
      {[](json& p) { p["data"][0]["dropped"]["broken"] = -1; },
       "data[0].dropped.broken: expected at least 0, found -1"},
      {[](json& p) { p["evaluation"]["dropped"]["tokenizer"] = 1LL << 50; },
       "evaluation.dropped.tokenizer: expected at most 281474976710656, found 1125899906842624"},
      {[](json& p) { p["data"][0]["weight"] = 0; }, "data[0].weight: expected more than 0, found 0"},
      {[](json& p) { p["output"] = "runs"; }, "output: 'runs' is not an absolute path"},
      {[](json& p) { p["quantization"] = "nf4"; }, "quantization: expected an object, found \"nf4\""},
      {[](json& p) { p["quantization"]["type"] = "fp4"; },
       "quantization.type: expected 'nf4', found \"fp4\""},
      {[](json& p) { p["quantization"]["double_quant"] = 1; },
       "quantization.double_quant: expected true or false, found 1"},
      {[](json& p) { p["adapter"] = nullptr; }, "quantization: quantised weights cannot be trained"},
      {[](json& p) { p["frozen_dtype"] = "float16"; },
       "frozen_dtype: expected 'float32' or 'bfloat16', found \"float16\""},
      {[](json& p) { p["recompute"] = "auto"; }, "recompute: expected 'none', 'selective' or 'full', found"},
      {[](json& p) { p["optimizer"]["name"] = "sgd"; },
       "optimizer.name: expected 'adamw_torch', 'adamw_8bit' or 'paged_adamw_8bit', found \"sgd\""},
      {[](json& p) { p["optimizer"]["embedding_learning_rate"] = 0; },
       "optimizer.embedding_learning_rate: expected more than 0, found 0"},
      {[](json& p) { p["batching"]["packing"] = nullptr; },
       "batching.packing: expected true or false, found null"},
      {[](json& p) {
         p["batching"]["per_device_train_batch_size"] = 257;
         p["batching"]["max_length"] = 1 << 24;
       },
       "batching.max_length: 257 sequences (batching.per_device_train_batch_size) of 16777216 tokens "
       "(batching.max_length) are 4311744512 tokens, a batch holds at most 4294967295; lower one of the two"},
      {[](json& p) { p["evaluation"]["on_start"] = 1; },
       "evaluation.on_start: expected true or false, found 1"},
      {[](json& p) {
         p["evaluation"]["batch_size"] = 257;
         p["batching"]["max_length"] = 1 << 24;
       },
       "evaluation: 257 sequences (evaluation.batch_size) of 16777216 tokens (batching.max_length)"},
      {[](json& p) { p["batching"]["max_length"] = 1LL << 40; },
       "batching.max_length: expected at most 16777216, found 1099511627776"},
      {[](json& p) { p["data"][0]["weight"] = 1e300; },
       "data[0].weight: expected at most 1000000, found 1e+300"},
      {[](json& p) { p["adapter"]["r"] = 20000; }, "adapter.r: expected at most 16384, found 20000"},
      {[](json& p) { p["adapter"]["dropout"] = 1; }, "adapter.dropout: expected 0 to below 1, found 1"},
      {[](json& p) {
         p["adapter"]["target_modules"] = {"q_proj", "qkv"};
       },
       "adapter.target_modules[1]: 'qkv' is none of 'q_proj', "},
      {[](json& p) {
         p["adapter"]["target_modules"] = {"q_proj", "q_proj"};
       },
       "adapter.target_modules[1]: 'q_proj' is named twice"},
      {[](json& p) { p["adapter"]["modules_to_save"] = {"q_proj"}; },
       "adapter.modules_to_save[0]: 'q_proj' is none of 'embed_tokens', 'lm_head', 'norm'"},
      {[](json& p) {
         p["adapter"]["target_modules"] = {"lm_head"};
         p["adapter"]["modules_to_save"] = {"lm_head"};
       },
       "adapter.modules_to_save[0]: 'lm_head' is one of target_modules too"},
      {[](json& p) { p["model"]["architecture"]["model_type"] = "gpt2"; },
       "model.architecture.model_type: expected 'llama', 'mistral' or 'qwen2', found \"gpt2\""},
      {[](json& p) { p["device"] = "tpu"; }, "device: expected 'auto', 'cpu' or 'cuda', found \"tpu\""},
      {[](json& p) { p["adapter"]["target_modules"] = json::array(); },
       "adapter.target_modules: name at least one module"},
      {[](json& p) { p["inputs"]["/a"] = "12"; }, "inputs./a: expected a SHA-256"},
      {[](json& p) {
         p["model"] = {{"path", "model"}, {"vocabulary", nullptr}};
       },
       "model.path: 'model' is not an absolute path"},
      {[](json& p) { p["model"]["architecture"]["num_key_value_heads"] = 3; },
       "model.architecture.num_key_value_heads: 3 does not divide"},
      {[](json& p) { p["model"]["architecture"]["initializer_range"] = 1e300; },
       "model.architecture.initializer_range: 1e+300 is not between 0 and 1000"},
      {[](json& p) { p["adapter"]["alpha"] = 1e19; }, "adapter.alpha: expected at most"},
      {[](json& p) { p["model"]["architecture"]["vocab_size"] = 1LL << 40; },
       "model.architecture.vocab_size: 1099511627776 is not between"},
  };
  for (const Case& c : cases) {
    json plan = complete_plan();
    c.change(plan);
    const std::string message = refusal([&] { parse_plan(plan, "plan.json"); });
    CHECK_MESSAGE(message.starts_with(std::string("plan.json: ") + c.message), message);
  }
}

TEST_CASE("A grown vocabulary has a map exactly when it is tied to one") {
  const auto refused = [](const char* key, const json& value) {
    json plan = growing_plan();
    plan["model"]["vocabulary"][key] = value;
    return refusal([&] { parse_plan(plan, "plan.json"); });
  };
  CHECK(refused("map", nullptr) ==
        "plan.json: model.vocabulary.map: initialization 'zip-tie' needs a map, found null");
  CHECK(refused("initialization", "random") ==
        "plan.json: model.vocabulary.map: only initialization 'zip-tie' has a map; it must be null");
  CHECK(refused("map", "map.json") == "plan.json: model.vocabulary.map: 'map.json' is not an absolute path");
  CHECK(refused("base_size", 41) ==
        "plan.json: model.vocabulary.base_size: expected at most size, 40, found 41");
  CHECK(refused("base_size", 0) == "plan.json: model.vocabulary.base_size: expected at least 1, found 0");
  CHECK(refused("size", 0) == "plan.json: model.vocabulary.size: expected at least 1, found 0");
}

TEST_CASE("A file that is no JSON is refused by its name and the place") {
  const TemporaryDirectory directory;
  std::ofstream(directory / "plan.json") << "{\"version\": 1,";
  CHECK(refusal([&] { read_plan(directory / "plan.json"); }).starts_with((directory / "plan.json").string()));
}

TEST_CASE("Plans differ in what is learned, not in how it is watched") {
  const json before = complete_plan();
  json now = before;
  now["logging_steps"] = 10;
  now["threads"] = nullptr;
  now["recompute"] = "full";
  now["checkpointing"]["save_steps"] = 1;
  now["evaluation"] = nullptr;
  now["output"] = "/elsewhere";
  now["data"][0]["dropped"]["broken"] = 1;
  now["data"].push_back({{"shards", json::array()}, {"weight", 1.0}, {"dropped", none_dropped()}});
  CHECK(plan_differences(before, now).empty());
  now["optimizer"]["learning_rate"] = 0.5;
  now["seed"] = 3;
  CHECK(plan_differences(before, now) ==
        std::vector<std::string>{"optimizer.learning_rate was 0.01, now 0.5", "seed was 42, now 3"});

  now = before;
  now["data"][0]["weight"] = 2.0;
  REQUIRE(plan_differences(before, now).size() == 1);
  CHECK(plan_differences(before, now)[0].starts_with("data was ["));

  now = before;
  now["inputs"] = {{"/changed", "a"}, {"/new", "b"}};
  json then = before;
  then["inputs"] = {{"/changed", "c"}, {"/old", "d"}};
  CHECK(plan_differences(then, now) ==
        std::vector<std::string>{"/changed has changed", "/new is a new input", "/old is no input any more"});
}
