// The engine's program, asked by a signal to end.
#include <chrono>

#include "engine_process.h"

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// Asks the engine to end, which it has ten seconds for.
void check_ends_in_time(pid_t engine, int signal = SIGTERM) {
  const auto begin = std::chrono::steady_clock::now();
  ::kill(engine, signal);
  CHECK(wait_for(engine) == 0);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
}

/// A plan whose first step is over in a moment, while its second, of one micro-batch, takes one thread about
/// half a minute (32 s on an EPYC with AVX2), and its evaluation, of one batch, about as long.
struct LongRuns : EngineRuns {
  LongRuns() {
    TokenRow brief{{1, 2}, {1, 1}}, whole;
    for (std::uint32_t t = 0; t < 384; ++t) whole.input_ids.push_back(t), whole.loss_mask.push_back(1);
    std::vector<TokenRow> rows(16, brief);
    rows.insert(rows.end(), 16, whole);
    write_shard(directory / "train.safetensors", rows);
    write_shard(directory / "evaluation.safetensors", std::vector<TokenRow>(48, whole));
    plan["model"]["architecture"].update({{"hidden_size", 768},
                                          {"intermediate_size", 2048},
                                          {"num_hidden_layers", 8},
                                          {"num_attention_heads", 12},
                                          {"num_key_value_heads", 12},
                                          {"head_dim", 64},
                                          {"vocab_size", 512},
                                          {"max_position_embeddings", 512}});
    plan["adapter"] = {{"r", 4},
                       {"alpha", 8},
                       {"dropout", 0.1},
                       {"use_rslora", false},
                       {"target_modules", {"q_proj"}},
                       {"modules_to_save", nlohmann::json::array()}};
    plan["frozen_dtype"] = "bfloat16";
    plan["recompute"] = "full";
    plan["batching"]["per_device_train_batch_size"] = 16;
    plan["batching"]["gradient_accumulation_steps"] = 1;
    plan["batching"]["max_length"] = 384;
    plan["batching"]["shuffle"] = false;
    plan["checkpointing"]["save_steps"] = nullptr;
    plan["evaluation"]["batch_size"] = 48;
  }
};

}  // namespace

TEST_CASE_FIXTURE(EngineRuns, "SIGTERM and SIGINT end a run with a checkpoint of its last step") {
  plan["schedule"]["steps"] = 100'000;
  plan["checkpointing"]["save_steps"] = nullptr;
  for (const int signal : {SIGTERM, SIGINT}) {
    const std::string name = "stopped-" + std::to_string(signal);
    const auto path = write_plan(name);
    const pid_t engine = start({"train", path.string()}, log);
    wait_for_step(directory / name, 3);
    check_ends_in_time(engine, signal);
    const auto last = read_events(directory / name).back();
    CHECK(last["event"] == "run_finished");
    CHECK(last["state"] == "stopped");
    CHECK(!last.contains("output"));
    CHECK(last["step"] == events_named(directory / name, "step").back()["step"]);
    CHECK(fs::exists(directory / name / "checkpoints" / ("step-" + last["step"].dump()) / "state.json"));
    CHECK(!fs::exists(directory / name / "run.lock"));
  }
}

TEST_CASE_FIXTURE(LongRuns, "SIGTERM does not wait for the end of a micro-batch, whose step resuming takes") {
  plan["evaluation"] = nullptr;
  const auto path = write_plan("long");
  const auto run = directory / "long";
  const pid_t engine = start({"train", path.string()}, log);
  wait_for_step(run, 1);
  check_ends_in_time(engine);
  const auto check_stopped_after_first = [&] {
    CHECK(losses(run).size() == 1);
    const json last = read_events(run).back();
    CHECK(last["event"] == "run_finished");
    CHECK(last["state"] == "stopped");
    CHECK(last["step"] == 1);
    CHECK(fs::exists(run / "checkpoints/step-1/state.json"));
    CHECK(!fs::exists(run / "checkpoints/step-2"));
    CHECK(!fs::exists(run / "run.lock"));
  };
  check_stopped_after_first();

  const DirectoryWatch watch(run);
  const pid_t resumed = start({"train", path.string(), "--resume"}, log);
  watch.wait_until([&] { return events_named(run, "run_started").size() == 2; });
  CHECK(events_named(run, "run_started")[1]["resumed_from"] == 1);
  check_ends_in_time(resumed);
  check_stopped_after_first();
}

TEST_CASE_FIXTURE(LongRuns, "SIGTERM does not wait for the end of a batch of an evaluation") {
  plan["evaluation"]["every_steps"] = 1;
  const auto path = write_plan("evaluating");
  const auto run = directory / "evaluating";
  const pid_t engine = start({"train", path.string()}, log);
  wait_for_step(run, 1);
  check_ends_in_time(engine);
  CHECK(events_named(run, "evaluation").empty());
  CHECK(losses(run).size() == 1);
  CHECK(read_events(run).back()["state"] == "stopped");
  CHECK(fs::exists(run / "checkpoints/step-1/state.json"));
}

TEST_CASE_FIXTURE(EngineRuns, "SIGTERM does not wait for the end of an evaluation") {
  write_shard(directory / "evaluation.safetensors", counting_rows(1'000'000));
  plan["evaluation"]["every_steps"] = 1;
  const auto path = write_plan("evaluating");
  const pid_t engine = start({"train", path.string()}, log);
  wait_for_step(directory / "evaluating", 1);
  check_ends_in_time(engine);
  CHECK(events_named(directory / "evaluating", "evaluation").empty());
  CHECK(read_events(directory / "evaluating").back()["state"] == "stopped");
  CHECK(fs::exists(directory / "evaluating/checkpoints/step-1/state.json"));
}

TEST_CASE_FIXTURE(EngineRuns, "SIGTERM does not wait for the end of the evaluation on start") {
  write_shard(directory / "evaluation.safetensors", counting_rows(1'000'000));
  plan["evaluation"]["on_start"] = true;
  const auto path = write_plan("starting");
  const DirectoryWatch watch(directory.path());
  const pid_t engine = start({"train", path.string()}, log);
  watch.wait_until([&] { return file_text(log).find("step 0: evaluating, ") != std::string::npos; });
  check_ends_in_time(engine);
  const auto events = read_events(directory / "starting");
  REQUIRE(events.size() == 2);
  CHECK(events[0]["event"] == "run_started");
  CHECK(events[1]["event"] == "run_finished");
  CHECK(events[1]["state"] == "stopped");
  CHECK(events[1]["step"] == 0);
  CHECK(!fs::exists(directory / "starting/checkpoints/step-0"));
}

TEST_CASE_FIXTURE(EngineRuns, "SIGTERM does not wait until input files are hashed") {
  const auto large = directory / "large";
  std::ofstream(large).close();
  fs::resize_file(large, std::uintmax_t{4} << 30);
  plan["inputs"][large.string()] = std::string(64, '0');
  const auto path = write_plan("hashing");
  const DirectoryWatch watch(directory.path());
  const pid_t engine = start({"train", path.string(), "--resume"}, log);
  watch.wait_until(
      [&] { return file_text(log).find("reading the model and the data") != std::string::npos; });
  check_ends_in_time(engine);
  CHECK(read_events(directory / "hashing").back()["state"] == "stopped");
}
