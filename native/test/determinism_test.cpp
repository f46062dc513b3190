// The whole recipe at once gives the same numbers however it is carried out.
#include <doctest/doctest.h>

#include "engine/train/run.h"
#include "temporary_directory.h"
#include "tiny_run.h"

using namespace ziptie;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// QLoRA with adapters everywhere, dropout, packs and 8-bit AdamW.
struct Fixture {
  Fixture() {
    const auto shard = directory / "packed.safetensors";
    write_shard(shard, counting_rows(24), {0, 2, 3, 6, 8, 9, 12, 14, 15, 18, 20, 22, 24});
    plan["data"][0]["shards"] = {shard.string()};
    plan["batching"]["max_length"] = 64;
    plan["batching"]["packing"] = true;
    plan["batching"]["group_by_length"] = true;
    plan["model"]["architecture"]["tie_word_embeddings"] = false;
    // Matrices of 4,096 elements and more have moments in 8 bits.
    plan["adapter"] = {{"r", 256},
                       {"alpha", 16},
                       {"dropout", 0.1},
                       {"use_rslora", true},
                       {"target_modules", {"q_proj", "v_proj", "down_proj", "embed_tokens", "lm_head"}},
                       {"modules_to_save", {"norm"}}};
    plan["quantization"] = {{"type", "nf4"}, {"double_quant", true}};
    plan["frozen_dtype"] = "bfloat16";
    plan["optimizer"]["name"] = "paged_adamw_8bit";
    plan["optimizer"]["embedding_learning_rate"] = 0.002;
  }

  /// What `changed` comes to: losses and gradient norms as they were written, and the adapter's bytes.
  std::vector<std::string> carry_out(const std::string& name, json changed, int steps_to_stop = -1) {
    const fs::path run = directory / name;
    changed["output"] = run.string();
    RunControl control;
    control.log = [](const std::string&) {};
    control.stop = [&] {
      return steps_to_stop >= 0 && static_cast<int>(events_named(run, "step").size()) >= steps_to_stop;
    };
    if (run_training(parse_plan(changed, "plan.json"), control).stopped) {
      control.stop = [] { return false; };
      control.resume = true;
      run_training(parse_plan(changed, "plan.json"), control);
    }
    std::vector<std::string> numbers;
    for (const json& event : read_events(run)) {
      if (event["event"] == "step") numbers.push_back(event["loss"].dump() + " " + event["grad_norm"].dump());
      if (event["event"] == "evaluation") numbers.push_back(event["loss"].dump());
    }
    numbers.push_back(file_text(run / "adapter/adapter_model.safetensors"));
    return numbers;
  }

  TemporaryDirectory directory;
  json plan = tiny_plan(directory.path(), 12);
};

}  // namespace

TEST_CASE_FIXTURE(
    Fixture, "QLoRA gives the same to the last bit twice, with other threads and recompute, and resumed") {
  const auto expected = carry_out("once", plan);
  REQUIRE(expected.size() == 12 + 3 + 1);
  CHECK(expected[11] != expected[0]);
  CHECK(carry_out("again", plan) == expected);
  for (const int threads : {2, 3}) {
    json changed = plan;
    changed["threads"] = threads;
    CHECK(carry_out("threads-" + std::to_string(threads), changed) == expected);
  }
  for (const char* recompute : {"selective", "full"}) {
    json changed = plan;
    changed["recompute"] = recompute;
    changed["threads"] = 2;
    CHECK(carry_out(recompute, changed) == expected);
  }
  CHECK(carry_out("resumed", plan, 7) == expected);
}

TEST_CASE_FIXTURE(Fixture, "Where the moments of 8-bit AdamW lie changes nothing") {
  json changed = plan;
  changed["optimizer"]["name"] = "adamw_8bit";
  CHECK(carry_out("device", changed) == carry_out("host", plan));
}
