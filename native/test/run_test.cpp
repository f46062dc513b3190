#include "engine/train/run.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/io/checkpoint.h"
#include "engine/io/tensor_transfer.h"
#include "engine/train/run_lock.h"
#include "refusal.h"
#include "temporary_directory.h"
#include "tiny_run.h"

using namespace ziptie;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// Carries out a plan; `steps_to_stop` asks it to stop once it has begun and so many steps have been taken.
RunOutcome carry_out(const json& plan, bool resume = false, int steps_to_stop = -1) {
  const fs::path run = plan["output"].get<std::string>();
  RunControl control;
  control.resume = resume;
  control.stop = [=] {
    return steps_to_stop >= 0 && !events_named(run, "run_started").empty() &&
           static_cast<int>(events_named(run, "step").size()) >= steps_to_stop;
  };
  control.log = [](const std::string&) {};
  return run_training(parse_plan(plan, "plan.json"), control);
}

/// Losses and gradient norms as they were written, which says more than numbers read back would.
std::vector<std::string> history(const fs::path& run) {
  std::vector<std::string> history;
  for (const json& event : read_events(run)) {
    if (event["event"] == "step") history.push_back(event["loss"].dump() + " " + event["grad_norm"].dump());
    if (event["event"] == "evaluation") history.push_back("evaluation " + event["loss"].dump());
  }
  return history;
}

std::vector<int> evaluated_steps(const fs::path& run) {
  std::vector<int> steps;
  for (const json& event : events_named(run, "evaluation")) steps.push_back(event["step"]);
  return steps;
}

struct Fixture {
  TemporaryDirectory directory;
  json plan = tiny_plan(directory.path(), 12);
  fs::path run = directory / "run";

  /// `plan` with a run directory of another name.
  json elsewhere(const std::string& name) const {
    json changed = plan;
    changed["output"] = (directory / name).string();
    return changed;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "A run says how it began, takes every step, evaluates, saves, and writes the model") {
  const RunOutcome outcome = carry_out(plan);
  CHECK(!outcome.stopped);
  CHECK(outcome.output == run / "model");

  const auto started = events_named(run, "run_started");
  REQUIRE(started.size() == 1);
  CHECK(started[0]["device"].get<std::string>().starts_with("cpu: 1 thread"));
  CHECK(started[0]["steps"] == 12);
  json rows = none_dropped();
  rows.update({{"used", 24}, {"cut", 4}, {"packs", 0}});
  CHECK(started[0]["rows"] == rows);
  rows.update({{"used", 5}, {"cut", 0}});
  CHECK(started[0]["evaluation_rows"] == rows);
  CHECK(started[0]["trainable_parameters"] == started[0]["parameters"]);
  CHECK(!started[0].contains("resumed_from"));

  const auto steps = events_named(run, "step");
  REQUIRE(steps.size() == 12);
  for (std::size_t i = 0; i < steps.size(); ++i) CHECK(steps[i]["step"] == i + 1);
  CHECK(steps[0]["learning_rate"].get<double>() == doctest::Approx(0.01 / 3));
  CHECK(steps[3]["epoch"].get<double>() == doctest::Approx(1.0));
  CHECK(steps[11]["loss"].get<double>() < steps[0]["loss"].get<double>());
  CHECK(steps[0]["memory_bytes"].get<double>() > 1 << 20);

  CHECK(evaluated_steps(run) == std::vector<int>{5, 10, 12});
  std::vector<int> saved;
  for (const json& event : events_named(run, "checkpoint")) saved.push_back(event["step"]);
  CHECK(saved == std::vector<int>{4, 8, 12});
  CHECK(!fs::exists(run / "checkpoints/step-4"));
  CHECK(fs::exists(run / "checkpoints/step-8/state.json"));
  CHECK(fs::exists(run / "model/config.json"));
  CHECK(fs::exists(run / "model/model.safetensors"));
  CHECK(!fs::exists(run / "run.lock"));

  const auto last = read_events(run).back();
  CHECK(last["event"] == "run_finished");
  CHECK(last["state"] == "finished");
  CHECK(last["output"] == (run / "model").string());
  CHECK(last["loss"] == steps[11]["loss"]);
}

TEST_CASE_FIXTURE(Fixture,
                  "Rows that were dropped before there were shards count with those left out of them") {
  const fs::path long_rows = directory / "long.safetensors";
  const std::vector<std::uint32_t> ids(13, 3);
  write_shard(long_rows, {{ids, std::vector<std::uint8_t>(13, 1)},
                          {ids, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
                          {{1, 2}, {0, 1}}});
  const json dropped = {
      {"too_long", 10}, {"unsupervised", 20}, {"broken", 30}, {"template", 40}, {"tokenizer", 50}};
  plan["data"] = {
      {{"shards", json::array()}, {"weight", 1.0}, {"dropped", dropped}},
      {{"shards", {long_rows.string()}}, {"weight", 1.0}, {"dropped", dropped}},
  };
  plan["evaluation"]["shards"] = {long_rows.string()};
  plan["evaluation"]["dropped"]["broken"] = 7;
  plan["schedule"]["steps"] = 1;
  carry_out(plan);
  const json started = events_named(run, "run_started").at(0);
  CHECK(started["rows"] == json{{"used", 2},
                                {"cut", 1},
                                {"too_long", 20},
                                {"unsupervised", 41},
                                {"broken", 60},
                                {"template", 80},
                                {"tokenizer", 100},
                                {"packs", 0}});
  json evaluation = none_dropped();
  evaluation.update({{"used", 2}, {"cut", 1}, {"unsupervised", 1}, {"broken", 7}, {"packs", 0}});
  CHECK(started["evaluation_rows"] == evaluation);
  // Those that were dropped before have been warned of.
  const json warning = events_named(run, "warning").at(0);
  CHECK(warning["message"].get<std::string>().starts_with("1 of 3 rows have no token that carries loss"));
}

TEST_CASE_FIXTURE(Fixture, "Stopped and resumed, a run goes on as if nothing had been, to the last bit") {
  for (const bool adapter : {false, true}) {
    if (adapter) {
      plan["adapter"] = {{"r", 4},
                         {"alpha", 8},
                         {"dropout", 0.1},
                         {"use_rslora", false},
                         {"target_modules", {"q_proj", "up_proj", "embed_tokens"}},
                         {"modules_to_save", {"norm"}}};
    }
    const std::string kind = adapter ? "adapter" : "model";
    const json whole = elsewhere("whole-" + kind), parts = elsewhere("parts-" + kind);
    carry_out(whole);
    // After step 5 an evaluation is due and no checkpoint is.
    const RunOutcome stopped = carry_out(parts, false, 5);
    CHECK(stopped.stopped);
    CHECK(stopped.step == 5);
    CHECK(fs::exists(directory / ("parts-" + kind) / "checkpoints/step-5"));
    CHECK(carry_out(parts, true, 9).step == 9);
    CHECK(!carry_out(parts, true).stopped);

    CHECK(history(directory / ("whole-" + kind)) == history(directory / ("parts-" + kind)));
    const std::string weights = adapter ? "adapter/adapter_model.safetensors" : "model/model.safetensors";
    CHECK(file_text(directory / ("whole-" + kind) / weights) ==
          file_text(directory / ("parts-" + kind) / weights));
    const auto started = events_named(directory / ("parts-" + kind), "run_started");
    REQUIRE(started.size() == 3);
    CHECK(started[1]["resumed_from"] == 5);
    CHECK(started[2]["resumed_from"] == 9);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "Evaluated on start, a run says the loss before its first step and learns the same") {
  const json without = elsewhere("without");
  carry_out(without);
  plan["evaluation"]["on_start"] = true;
  carry_out(plan);
  const auto events = read_events(run);
  CHECK(events[0]["event"] == "run_started");
  CHECK(events[1]["event"] == "evaluation");
  CHECK(events[1]["step"] == 0);
  // Random weights this small give every token of the 32 about the same probability.
  CHECK(events[1]["loss"].get<double>() == doctest::Approx(std::log(32)).epsilon(0.01));
  CHECK(evaluated_steps(run) == std::vector<int>{0, 5, 10, 12});
  const auto beside = history(directory / "without"), all = history(run);
  CHECK(std::vector(all.begin() + 1, all.end()) == beside);
  CHECK(file_text(run / "model/model.safetensors") ==
        file_text(directory / "without/model/model.safetensors"));
}

TEST_CASE_FIXTURE(Fixture,
                  "Resumed from a checkpoint, a run is not evaluated on start again; begun again, it is") {
  plan["evaluation"]["on_start"] = true;
  const json whole = elsewhere("whole"), again = elsewhere("again");
  carry_out(whole);
  CHECK(carry_out(plan, false, 1).step == 1);
  carry_out(plan, true);
  CHECK(history(run) == history(directory / "whole"));

  RunControl control;
  control.stop = [&] { return !evaluated_steps(directory / "again").empty(); };
  control.log = [](const std::string&) {};
  const RunOutcome stopped = run_training(parse_plan(again, "plan.json"), control);
  CHECK(stopped.stopped);
  CHECK(stopped.step == 0);
  CHECK(stopped.evaluation_loss);
  carry_out(again, true);
  CHECK(evaluated_steps(directory / "again") == std::vector<int>{0, 0, 5, 10, 12});
  const auto parts = history(directory / "again");
  CHECK(parts[0] == parts[1]);
  CHECK(std::vector(parts.begin() + 1, parts.end()) == history(directory / "whole"));
}

TEST_CASE_FIXTURE(Fixture,
                  "Stopped during the evaluation on start, a run has taken no step and saved nothing") {
  plan["evaluation"]["on_start"] = true;
  const RunOutcome stopped = carry_out(plan, false, 0);
  CHECK(stopped.stopped);
  CHECK(stopped.step == 0);
  CHECK(!stopped.evaluation_loss);
  CHECK(evaluated_steps(run).empty());
  CHECK(events_named(run, "step").empty());
  CHECK(CheckpointStore(run).steps().empty());
  CHECK(read_events(run).back()["state"] == "stopped");
  CHECK(!carry_out(plan, true).stopped);
  CHECK(evaluated_steps(run) == std::vector<int>{0, 5, 10, 12});
}

TEST_CASE_FIXTURE(Fixture,
                  "Stopped during its last evaluation, a run is not finished until resuming has done it") {
  CHECK(carry_out(plan, false, 12).stopped);
  CHECK(!fs::exists(run / "model"));
  const RunOutcome outcome = carry_out(plan, true);
  CHECK(!outcome.stopped);
  CHECK(outcome.evaluation_loss);
}

TEST_CASE_FIXTURE(Fixture,
                  "Stopped while it writes its model, a run has a checkpoint, and resuming writes it") {
  RunControl control;
  control.stop = [&] { return fs::exists(run / "checkpoints/step-12"); };
  control.log = [](const std::string&) {};
  const RunOutcome stopped = run_training(parse_plan(plan, "plan.json"), control);
  CHECK(stopped.stopped);
  CHECK(stopped.output.empty());
  CHECK(!fs::exists(run / "model"));
  CHECK(read_events(run).back()["state"] == "stopped");
  CHECK(!carry_out(plan, true).stopped);
  CHECK(fs::exists(run / "model/model.safetensors"));
}

TEST_CASE_FIXTURE(Fixture,
                  "The grown base that checkpoints name is there before them, and is written once; the "
                  "tokenizer is beside each") {
  const json origin = elsewhere("origin");
  carry_out(origin);
  plan["model"] = {
      {"path", (directory / "origin/model").string()},
      {"vocabulary",
       {{"size", 36}, {"base_size", nullptr}, {"initialization", "mean"}, {"map", nullptr}, {"seed", 5}}}};
  plan["adapter"] = {{"r", 4},
                     {"alpha", 8},
                     {"dropout", 0.0},
                     {"use_rslora", false},
                     {"target_modules", {"q_proj"}},
                     {"modules_to_save", json::array()}};
  const std::string tokenizer = (directory / "tokenizer.json").string();
  std::ofstream(tokenizer) << "{}";
  plan["tokenizer_files"] = {tokenizer};
  CHECK(carry_out(plan, false, 3).stopped);
  const json config = json::parse(file_text(run / "checkpoints/step-3/adapter_config.json"));
  CHECK(file_text(run / "checkpoints/step-3/tokenizer.json") == "{}");
  const fs::path base = config["base_model_name_or_path"].get<std::string>();
  CHECK(base == run / "base");
  const std::string written = file_text(base / "model.safetensors");
  REQUIRE(!written.empty());
  const auto time = fs::last_write_time(base / "model.safetensors");
  CHECK(carry_out(plan, true, 6).stopped);
  CHECK(fs::last_write_time(base / "model.safetensors") == time);
  fs::resize_file(base / "model.safetensors", written.size() - 1);
  CHECK(!carry_out(plan, true).stopped);
  CHECK(file_text(base / "model.safetensors") == written);
}

TEST_CASE_FIXTURE(Fixture, "Stopped while it still reads, a run ends cleanly and may begin anew") {
  RunControl control;
  control.stop = [] { return true; };
  control.log = [](const std::string&) {};
  CHECK(run_training(parse_plan(plan, "plan.json"), control).stopped);
  CHECK(read_events(run).size() == 1);
  CHECK(read_events(run)[0]["event"] == "run_finished");
  CHECK(read_events(run)[0]["state"] == "stopped");
  CHECK(!fs::exists(run / "run.lock"));
  CHECK(!carry_out(plan).stopped);
}

TEST_CASE_FIXTURE(Fixture, "Stopped within a step, a run gives it up and takes it whole when it is resumed") {
  carry_out(elsewhere("whole"));
  // In each of its micro-batches: in the forward pass, at the head and in the backward pass.
  constexpr int asked_in_a_batch = 2 * 5 + 1 + 2 * 5;
  for (const int moment : {1, 11, 18, asked_in_a_batch + 3, 2 * asked_in_a_batch}) {
    CAPTURE(moment);
    const std::string name = "stopped-" + std::to_string(moment);
    const json parts = elsewhere(name);
    const fs::path stopped = directory / name;
    RunControl control;
    int asked = 0;
    control.stop = [&] { return events_named(stopped, "step").size() == 3 && ++asked == moment; };
    control.log = [](const std::string&) {};
    CHECK(run_training(parse_plan(parts, "plan.json"), control).step == 3);
    CHECK(asked == moment);
    CHECK(fs::exists(stopped / "checkpoints/step-3"));
    carry_out(parts, true);
    CHECK(history(stopped) == history(directory / "whole"));
    CHECK(file_text(stopped / "model/model.safetensors") ==
          file_text(directory / "whole/model/model.safetensors"));
  }
}

TEST_CASE_FIXTURE(Fixture, "An old checkpoint that cannot be deleted is a warning, not the end of a run") {
  RunControl control;
  control.stop = [&] {
    // The name that it would be deleted under is taken by something that no directory can replace.
    if (events_named(run, "step").size() == 9) std::ofstream(run / "checkpoints/.step-4.tmp") << "in the way";
    return false;
  };
  control.log = [](const std::string&) {};
  CHECK(!run_training(parse_plan(plan, "plan.json"), control).stopped);
  const auto warnings = events_named(run, "warning");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0]["message"].get<std::string>().starts_with("An old checkpoint could not be deleted: "));
  CHECK(events_named(run, "checkpoint").back()["step"] == 12);
  CHECK(fs::exists(run / "checkpoints/step-4"));
}

TEST_CASE_FIXTURE(Fixture, "Without a checkpoint, resuming begins again") {
  carry_out(plan, false, 0);
  CHECK(!fs::exists(run / "checkpoints/step-0"));
  CHECK(!carry_out(plan, true).stopped);
  CHECK(events_named(run, "run_started")[1]["resumed_from"] == 0);
}

TEST_CASE_FIXTURE(Fixture, "Two runs never mix in one directory") {
  carry_out(plan, false, 3);
  const std::string before = file_text(run / "events.jsonl");
  CHECK(refusal([&] { carry_out(plan); }).find("there is a run in this directory already") !=
        std::string::npos);
  CHECK(file_text(run / "events.jsonl") == before);
  {
    const RunLock lock(run);
    CHECK(refusal([&] {
            carry_out(plan, true);
          }).find("an engine already trains in this directory (process ") != std::string::npos);
    CHECK(file_text(run / "events.jsonl") == before);
  }
  carry_out(plan, true);
  CHECK(refusal([&] { carry_out(plan, true); }).find("this run is finished, there is nothing to resume") !=
        std::string::npos);
  CHECK(read_events(run).back()["event"] == "run_finished");
}

TEST_CASE_FIXTURE(Fixture,
                  "A directory that has lost its events but not its checkpoints is no place for a new run") {
  carry_out(plan, false, 4);
  fs::remove(run / "events.jsonl");
  CHECK(refusal([&] { carry_out(plan); }).find("there are checkpoints of a run in this directory already") !=
        std::string::npos);
  CHECK(fs::exists(run / "checkpoints/step-4/state.json"));
  CHECK(carry_out(plan, true).step == 12);
}

TEST_CASE("A lock names its process and outlives neither it nor another process of the same number") {
  const TemporaryDirectory directory;
  const auto path = directory / "run.lock";
  {
    const RunLock lock(directory.path());
    const json owner = json::parse(file_text(path));
    CHECK(owner["pid"] == ::getpid());
    CHECK(owner["start_time"] == process_start_time(::getpid()));
  }
  CHECK(!fs::exists(path));
  const unsigned long long started = process_start_time(::getpid());
  // Dead; of another start; damaged; alive but this very process, which holds no lock on the file.
  for (const std::string& stale :
       {json{{"pid", 4194305}, {"start_time", 1}}.dump(),
        json{{"pid", ::getpid()}, {"start_time", started + 1}}.dump(), std::string("{\"pid\":")}) {
    std::ofstream(path) << stale;
    CHECK(refusal([&] { RunLock lock(directory.path()); }).empty());
  }
  // The parent is alive and not ours.
  std::ofstream(path) << json{{"pid", ::getppid()}, {"start_time", process_start_time(::getppid())}};
  CHECK(refusal([&] {
          RunLock lock(directory.path());
        }).find("(process " + std::to_string(::getppid()) + ")") != std::string::npos);
  CHECK(fs::exists(path));
}

TEST_CASE_FIXTURE(Fixture, "A loss that is no number stops the run before it spoils the weights") {
  plan["optimizer"]["learning_rate"] = 1e30;
  plan["schedule"]["name"] = "constant";
  plan["optimizer"]["weight_decay"] = 0;
  plan["checkpointing"]["save_steps"] = 1;
  const std::string message = refusal([&] { carry_out(plan); });
  const auto last = read_events(run).back();
  CHECK(last["event"] == "run_failed");
  CHECK(last["reason"] == message);
  const int step = last["step"];
  CHECK(message.find("is not a finite number at step " + std::to_string(step)) != std::string::npos);
  CHECK(message.find("The checkpoint of step " + std::to_string(step - 1) + " is kept") != std::string::npos);
  const auto steps = events_named(run, "step");
  CHECK(steps.back()["step"] == step);
  CHECK((steps.back()["loss"].is_null() || steps.back()["grad_norm"].is_null()));
  // The checkpoint of the step before stands, with numbers in it.
  CHECK(last["checkpoint"] == (run / ("checkpoints/step-" + std::to_string(step - 1))).string());
  CHECK(!fs::exists(run / "model"));
  CHECK(!fs::exists(run / "run.lock"));
  const SafetensorsFile file(run / ("checkpoints/step-" + std::to_string(step - 1)) / "model.safetensors");
  for (const auto& [name, tensor] : file.tensors()) {
    for (const float value : read_tensor(file, tensor)) REQUIRE(std::isfinite(value));
  }
}

TEST_CASE_FIXTURE(Fixture, "Weights that an update has overflown are never saved") {
  plan["optimizer"]["learning_rate"] = 1e39;
  plan["schedule"]["name"] = "constant";
  plan["checkpointing"]["save_steps"] = 1;
  CHECK(refusal([&] { carry_out(plan); }).find("holds a number that is not finite after step 1") !=
        std::string::npos);
  CHECK(!fs::exists(run / "checkpoints"));
  CHECK(read_events(run).back()["event"] == "run_failed");
}

TEST_CASE_FIXTURE(Fixture, "Resuming with other inputs is refused, naming what changed") {
  const std::string shard = plan["data"][0]["shards"][0];
  plan["inputs"][shard] = "0000000000000000000000000000000000000000000000000000000000000000";
  carry_out(plan, false, 2);
  CHECK(refusal([&] { carry_out(plan, true); }).find(shard + " has changed") != std::string::npos);
  CHECK(read_events(run).back()["event"] == "run_failed");
  fs::remove(shard);
  CHECK(refusal([&] { carry_out(plan, true); }).find(shard + ": cannot open: No such file") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(Fixture,
                  "Resuming with another plan is refused, unless it only logs or saves differently") {
  carry_out(plan, false, 4);
  json changed = plan;
  changed["optimizer"]["learning_rate"] = 0.5;
  CHECK(refusal([&] { carry_out(changed, true); }).find("optimizer.learning_rate was 0.01, now 0.5") !=
        std::string::npos);
  changed = plan;
  changed["logging_steps"] = 100;
  CHECK(carry_out(changed, true).step == 12);
}

TEST_CASE_FIXTURE(
    Fixture, "A damaged newest checkpoint is passed over with a warning, and the run still ends the same") {
  const json whole = elsewhere("whole");
  carry_out(whole);
  carry_out(plan, false, 9);
  fs::resize_file(run / "checkpoints/step-9/model.safetensors", 100);
  carry_out(plan, true);
  CHECK(events_named(run, "warning")[0]["message"].get<std::string>().find("step-9/model.safetensors") !=
        std::string::npos);
  CHECK(fs::file_size(run / "checkpoints/damaged-step-9/model.safetensors") == 100);
  CHECK(events_named(run, "run_started")[1]["resumed_from"] == 8);
  CHECK(file_text(run / "model/model.safetensors") == file_text(directory / "whole/model/model.safetensors"));
}

TEST_CASE_FIXTURE(Fixture, "The number of threads changes nothing, not even the last bit") {
  json one = elsewhere("one"), three = elsewhere("three");
  three["threads"] = 3;
  carry_out(one);
  carry_out(three);
  CHECK(history(directory / "one") == history(directory / "three"));
}

TEST_CASE_FIXTURE(Fixture, "Micro-batches share one mean: accumulation does not change what is learned") {
  json once = elsewhere("once"), accumulated = elsewhere("accumulated");
  once["batching"]["per_device_train_batch_size"] = 6;
  once["batching"]["gradient_accumulation_steps"] = 1;
  accumulated["batching"]["per_device_train_batch_size"] = 1;
  accumulated["batching"]["gradient_accumulation_steps"] = 6;
  carry_out(once);
  carry_out(accumulated);
  const auto a = events_named(directory / "once", "step"),
             b = events_named(directory / "accumulated", "step");
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i]["tokens"] == b[i]["tokens"]);
    CHECK(a[i]["supervised_tokens"] == b[i]["supervised_tokens"]);
    CHECK(a[i]["loss"].get<double>() == doctest::Approx(b[i]["loss"].get<double>()).epsilon(1e-4));
  }
}

TEST_CASE_FIXTURE(Fixture, "What cannot begin fails with its reason in the events") {
  SUBCASE("a model that is not there") {
    plan["model"] = {{"path", (directory / "absent").string()}, {"vocabulary", nullptr}};
    CHECK(refusal([&] { carry_out(plan); }).find("there is no config.json") != std::string::npos);
  }
  SUBCASE("a shard of another vocabulary") {
    plan["model"]["architecture"]["vocab_size"] = 16;
    CHECK(refusal([&] { carry_out(plan); }).find("is not in the model's vocabulary of 16") !=
          std::string::npos);
  }
  SUBCASE("a device that is not there") {
    plan["device"] = "cuda";
    CHECK(refusal([&] { carry_out(plan); }).find("no CUDA backend") != std::string::npos);
  }
  SUBCASE("a model beyond all memory") {
    plan["model"]["architecture"]["hidden_size"] = 1 << 20;
    plan["model"]["architecture"]["intermediate_size"] = 1 << 22;
    CHECK(refusal([&] { carry_out(plan); }).find("GiB") != std::string::npos);
  }
  CHECK(read_events(run).back()["event"] == "run_failed");
  // Nothing has been trained, so the corrected plan may begin here.
  CHECK(!carry_out(tiny_plan(directory.path(), 12)).stopped);
}
