// The engine's program as a process of its own: killed, stopped by signals, out of disk, wrongly called.
#include <chrono>
#include <cstdlib>
#include <random>
#include <sstream>

#include "engine_process.h"
#include "temporary_directory.h"

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  TemporaryDirectory directory;
  json plan = tiny_plan(directory.path(), 60);
  fs::path log = directory / "engine.log";

  fs::path write_plan(const std::string& name) {
    plan["output"] = (directory / name).string();
    fs::create_directories(directory / name);
    std::ofstream(directory / name / "plan.json") << plan;
    return directory / name / "plan.json";
  }
};

}  // namespace

namespace {

/// Kills the engine at some moment of its life, or sees it end first. Half of the moments are while it writes
/// a checkpoint, the others any. Returns what `wait_for` does.
int kill_somewhere(pid_t engine, const fs::path& run, std::mt19937_64& random) {
  const auto uniform = [&](int most) { return std::uniform_int_distribution(0, most)(random); };
  const DirectoryWatch checkpoints(run / "checkpoints", IN_CREATE);
  if (uniform(1) == 0) {
    checkpoints.wait(10'000);
    // Files are written one after the other, each for a millisecond or so.
    ::usleep(static_cast<useconds_t>(uniform(4000)));
  } else {
    ::usleep(static_cast<useconds_t>(uniform(120'000)));
  }
  ::kill(engine, SIGKILL);
  return wait_for(engine);
}

bool is_half_written(const fs::path& run) {
  for (const auto& entry : fs::directory_iterator(run / "checkpoints"))
    if (entry.path().filename().string().starts_with(".step-")) return true;
  return false;
}

}  // namespace

TEST_CASE_FIXTURE(
    Fixture,
    "Killed at 50 random moments, among them while it writes checkpoints, a run gives the losses and the "
    "weights of an undisturbed one to the last bit") {
  const char* given = std::getenv("ZIPTIE_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
  MESSAGE("ZIPTIE_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  plan["schedule"]["steps"] = 150;
  plan["checkpointing"]["save_steps"] = 2;
  plan["evaluation"]["every_steps"] = 50;
  REQUIRE(call({"train", write_plan("whole").string()}, log) == 0);
  int kills = 0, half_written = 0;
  for (int attempt = 0; kills < 50; ++attempt) {
    const std::string name = "killed-" + std::to_string(attempt);
    const fs::path path = write_plan(name), run = directory / name;
    fs::create_directories(run / "checkpoints");
    int status = -SIGKILL;
    while (status == -SIGKILL) {
      // What was killed before it began has nothing to resume, but may be resumed all the same.
      const pid_t engine = start({"train", path.string(), "--resume"}, log);
      status = kills < 50 ? kill_somewhere(engine, run, random) : wait_for(engine);
      if (status == -SIGKILL) {
        kills += 1;
        half_written += is_half_written(run);
      }
    }
    INFO(file_text(log));
    REQUIRE((status == 0 || read_events(run).back()["event"] == "run_finished"));
    CHECK(losses(run) == losses(directory / "whole"));
    CHECK(losses(run).size() == 150);
    CHECK(file_text(run / "model/model.safetensors") ==
          file_text(directory / "whole/model/model.safetensors"));
    CHECK(!is_half_written(run));
  }
  CHECK(half_written > 0);
}

TEST_CASE_FIXTURE(Fixture, "SIGTERM and SIGINT end a run after its step, with a checkpoint of it") {
  plan["schedule"]["steps"] = 100'000;
  plan["checkpointing"]["save_steps"] = nullptr;
  for (const int signal : {SIGTERM, SIGINT}) {
    const std::string name = "stopped-" + std::to_string(signal);
    const auto path = write_plan(name);
    const pid_t engine = start({"train", path.string()}, log);
    wait_for_step(directory / name, 3);
    ::kill(engine, signal);
    CHECK(wait_for(engine) == 0);
    const auto last = read_events(directory / name).back();
    CHECK(last["event"] == "run_finished");
    CHECK(last["state"] == "stopped");
    CHECK(!last.contains("output"));
    CHECK(last["step"] == events_named(directory / name, "step").back()["step"]);
    CHECK(fs::exists(directory / name / "checkpoints" / ("step-" + last["step"].dump()) / "state.json"));
    CHECK(!fs::exists(directory / name / "run.lock"));
  }
}

TEST_CASE_FIXTURE(Fixture, "SIGTERM does not wait for the end of an evaluation") {
  write_shard(directory / "evaluation.safetensors", counting_rows(1'000'000));
  plan["evaluation"]["every_steps"] = 1;
  const auto path = write_plan("evaluating");
  const pid_t engine = start({"train", path.string()}, log);
  wait_for_step(directory / "evaluating", 1);
  const auto begin = std::chrono::steady_clock::now();
  ::kill(engine, SIGTERM);
  CHECK(wait_for(engine) == 0);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  CHECK(events_named(directory / "evaluating", "evaluation").empty());
  CHECK(read_events(directory / "evaluating").back()["state"] == "stopped");
  CHECK(fs::exists(directory / "evaluating/checkpoints/step-1/state.json"));
}

TEST_CASE_FIXTURE(Fixture, "SIGTERM does not wait for the end of the evaluation on start") {
  write_shard(directory / "evaluation.safetensors", counting_rows(1'000'000));
  plan["evaluation"]["on_start"] = true;
  const auto path = write_plan("starting");
  const DirectoryWatch watch(directory.path());
  const pid_t engine = start({"train", path.string()}, log);
  watch.wait_until([&] { return file_text(log).find("step 0: evaluating, ") != std::string::npos; });
  const auto begin = std::chrono::steady_clock::now();
  ::kill(engine, SIGTERM);
  CHECK(wait_for(engine) == 0);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  const auto events = read_events(directory / "starting");
  REQUIRE(events.size() == 2);
  CHECK(events[0]["event"] == "run_started");
  CHECK(events[1]["event"] == "run_finished");
  CHECK(events[1]["state"] == "stopped");
  CHECK(events[1]["step"] == 0);
  CHECK(!fs::exists(directory / "starting/checkpoints/step-0"));
}

TEST_CASE_FIXTURE(Fixture, "SIGTERM does not wait until input files are hashed") {
  const auto large = directory / "large";
  std::ofstream(large).close();
  fs::resize_file(large, std::uintmax_t{4} << 30);
  plan["inputs"][large.string()] = std::string(64, '0');
  const auto path = write_plan("hashing");
  const DirectoryWatch watch(directory.path());
  const pid_t engine = start({"train", path.string(), "--resume"}, log);
  watch.wait_until(
      [&] { return file_text(log).find("reading the model and the data") != std::string::npos; });
  const auto begin = std::chrono::steady_clock::now();
  ::kill(engine, SIGTERM);
  CHECK(wait_for(engine) == 0);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  CHECK(read_events(directory / "hashing").back()["state"] == "stopped");
}

TEST_CASE_FIXTURE(Fixture,
                  "Token shards that are cut short while a run trains on them end it with their name") {
  plan["schedule"]["steps"] = 100'000;
  const auto path = write_plan("cut-short");
  const pid_t engine = start({"train", path.string()}, log);
  wait_for_step(path.parent_path(), 2);
  fs::resize_file(directory / "train.safetensors", 0);
  CHECK(wait_for(engine) == 1);
  const json last = read_events(path.parent_path()).back();
  CHECK(last["event"] == "run_failed");
  const std::string reason = last["reason"];
  CHECK_MESSAGE(
      reason.starts_with((directory / "train.safetensors").string() + ": the file has been cut short"),
      reason);
}

TEST_CASE_FIXTURE(Fixture, "A second engine on a directory is turned away and the first goes on") {
  plan["schedule"]["steps"] = 100'000;
  const auto path = write_plan("run");
  const pid_t first = start({"train", path.string()}, log);
  wait_for_step(directory / "run", 1);
  CHECK(call({"train", path.string(), "--resume"}, directory / "second.log") == 1);
  CHECK(file_text(directory / "second.log")
            .find("an engine already trains in this directory (process " + std::to_string(first)) !=
        std::string::npos);
  ::kill(first, SIGTERM);
  CHECK(wait_for(first) == 0);
  CHECK(events_named(directory / "run", "run_failed").empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "A disk that is full fails the run, which says so and leaves nothing half-written") {
  const auto path = write_plan("run");
  // Enough for the events, too little for the weights.
  CHECK(wait_for(start({"train", path.string()}, log, 6000)) == 1);
  const auto last = read_events(directory / "run").back();
  CHECK(last["event"] == "run_failed");
  CHECK(last["step"] == 4);
  CHECK(last["reason"].get<std::string>().find("cannot write: File too large") != std::string::npos);
  CHECK(fs::is_empty(directory / "run/checkpoints"));
  CHECK(file_text(log).find("ziptie-engine: ") != std::string::npos);
  // With space again it goes on.
  CHECK(call({"train", path.string(), "--resume"}, log) == 0);
}

TEST_CASE_FIXTURE(Fixture, "Wrong usage exits with 2 and what cannot be done with 1") {
  CHECK(call({}, log) == 2);
  CHECK(call({"trian"}, log) == 2);
  CHECK(call({"train"}, log) == 2);
  CHECK(call({"train", "--resum"}, log) == 2);
  CHECK(call({"--help"}, log) == 0);
  CHECK(call({"--version"}, log) == 0);
  CHECK(call({"train", (directory / "absent.json").string()}, log) == 1);
  CHECK(call({"describe", "--model", directory.path().string()}, log) == 1);
  CHECK(call({"describe", "--format", "json"}, log) == 0);
}

TEST_CASE_FIXTURE(Fixture, "Prompts are continued line by line, and a bad line is named") {
  plan["schedule"]["steps"] = 2;
  const auto path = write_plan("run");
  REQUIRE(call({"train", path.string()}, log) == 0);
  const std::string model = (directory / "run/model").string(),
                    prompts = (directory / "prompts.jsonl").string();
  std::ofstream(prompts) << R"({"id":"a","input_ids":[1,2,3]})"
                         << "\n\n"
                         << R"({"id":7,"input_ids":[4]})"
                         << "\n";
  const std::vector<std::string> generate = {"generate", "--model",          model, "--prompts",
                                             prompts,    "--max-new-tokens", "5"};
  auto never_stop = generate;
  never_stop.insert(never_stop.end(), {"--stop-ids", "31,30"});
  REQUIRE(call(never_stop, directory / "out") == 0);
  // Answers come as they are ready.
  const auto answers_in = [](const fs::path& file) {
    std::map<json, json> answers;
    std::istringstream lines(file_text(file));
    for (std::string line; std::getline(lines, line);) {
      const json answer = json::parse(line);
      answers[answer["id"]] = answer;
    }
    return answers;
  };
  auto answers = answers_in(directory / "out");
  REQUIRE(answers.size() == 2);
  CHECK(answers["a"]["output_ids"].size() <= 5);
  CHECK(answers.contains(7));

  // Whatever the first token is, stopping at it leaves nothing.
  REQUIRE(!answers["a"]["output_ids"].empty());
  auto stopped = generate;
  stopped.insert(stopped.end(), {"--stop-ids", answers["a"]["output_ids"][0].dump()});
  REQUIRE(call(stopped, directory / "stopped") == 0);
  CHECK(answers_in(directory / "stopped")["a"]["output_ids"].empty());
  CHECK(answers_in(directory / "stopped")["a"]["finish"] == "stop");

  for (const auto& [line, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"id":1,"input_ids":[99]})", ":1: input_ids"},
           {R"({"id":1,"input_ids":[]})", ":1: input_ids is empty"},
           {"{\"id\":1,\"input_ids\":[1]}\n{\"id\":1,\"input_ids\":[2]}", ":2: id: 1 is line 1's already"},
           {R"({"id":1,"input_ids":"text"})", ":1: input_ids: expected an array"},
           {R"({"id":1)", ":1: "}}) {
    std::ofstream(prompts) << line << "\n";
    const auto bad = directory / "bad";
    fs::remove(bad);
    CHECK(call(generate, bad) == 1);
    CHECK_MESSAGE(file_text(bad).find(prompts + message) != std::string::npos, file_text(bad));
  }
}

// AddressSanitizer's shadow memory is larger than any limit under which threads run out.
#ifndef __SANITIZE_ADDRESS__
TEST_CASE_FIXTURE(Fixture, "More threads than the system gives end the run with its reason") {
  plan["threads"] = 4096;
  const auto path = write_plan("crowded");
  CHECK(wait_for(start({"train", path.string()}, log, RLIM_INFINITY, rlim_t{2} << 30)) == 1);
  const auto last = read_events(directory / "crowded").back();
  CHECK(last["event"] == "run_failed");
  CHECK(last["reason"].get<std::string>().find("of 4096 threads could be started") != std::string::npos);
}
#endif
