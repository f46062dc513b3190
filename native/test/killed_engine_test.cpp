// The engine's program as a process of its own: killed, out of disk, wrongly called.
#include <cstdlib>
#include <random>
#include <sstream>

#include "engine_process.h"

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// Kills the engine at some moment of its life, or sees it end first. Half of the moments are while it writes
/// a checkpoint, a quarter while it begins, the others any. Returns what `wait_for` does.
int kill_somewhere(pid_t engine, const fs::path& run, std::mt19937_64& random) {
  const auto uniform = [&](int most) { return std::uniform_int_distribution(0, most)(random); };
  const DirectoryWatch checkpoints(run / "checkpoints", IN_CREATE);
  if (uniform(1) == 0) {
    checkpoints.wait(10'000);
    // Files are written one after the other, each for a millisecond or so.
    ::usleep(static_cast<useconds_t>(uniform(4000)));
  } else {
    ::usleep(static_cast<useconds_t>(uniform(uniform(1) == 0 ? 20'000 : 120'000)));
  }
  ::kill(engine, SIGKILL);
  return wait_for(engine);
}

bool is_half_written(const fs::path& run) {
  for (const auto& entry : fs::directory_iterator(run / "checkpoints"))
    if (entry.path().filename().string().starts_with(".step-")) return true;
  return false;
}

struct KilledRuns : EngineRuns {
  std::mt19937_64 random;

  KilledRuns() {
    const char* given = std::getenv("ZIPTIE_TEST_SEED");
    const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
    MESSAGE("ZIPTIE_TEST_SEED=" << seed);
    random.seed(seed);
  }

  /// The plan, carried out with `most` kills in between, gives the losses and the `files` of an undisturbed
  /// run.
  void check_kills(int most, const std::vector<std::string>& files) {
    REQUIRE(call({"train", write_plan("whole").string()}, log) == 0);
    const auto expected = losses(directory / "whole");
    REQUIRE(expected.size() == plan["schedule"]["steps"]);
    int kills = 0, half_written = 0;
    for (int attempt = 0; kills < most; ++attempt) {
      const std::string name = "killed-" + std::to_string(attempt);
      const fs::path path = write_plan(name), run = directory / name;
      fs::create_directories(run / "checkpoints");
      int status = -SIGKILL;
      while (status == -SIGKILL) {
        // What was killed before it began has nothing to resume, but may be resumed all the same.
        const pid_t engine = start({"train", path.string(), "--resume"}, log);
        status = kills < most ? kill_somewhere(engine, run, random) : wait_for(engine);
        if (status == -SIGKILL) {
          kills += 1;
          half_written += is_half_written(run);
        }
      }
      INFO(file_text(log));
      REQUIRE((status == 0 || read_events(run).back()["event"] == "run_finished"));
      CHECK(losses(run) == expected);
      for (const std::string& file : files) {
        CAPTURE(file);
        const std::string written = file_text(run / file);
        CHECK(!written.empty());
        CHECK(written == file_text(directory / "whole" / file));
      }
      CHECK(!is_half_written(run));
    }
    CHECK(half_written > 0);
  }
};

}  // namespace

TEST_CASE_FIXTURE(
    KilledRuns,
    "Killed at 50 random moments, among them while it writes checkpoints, a run gives the losses and the "
    "weights of an undisturbed one to the last bit") {
  plan["schedule"]["steps"] = 150;
  plan["checkpointing"]["save_steps"] = 2;
  plan["evaluation"]["every_steps"] = 50;
  check_kills(50, {"model/model.safetensors"});
}

TEST_CASE_FIXTURE(
    KilledRuns,
    "So does a run of QLoRA on a grown vocabulary, with one adapter at both ends, packs and paged 8-bit "
    "AdamW, whose grown base is written first") {
  plan["model"]["architecture"]["vocab_size"] = 512;
  plan["schedule"]["steps"] = 4;
  REQUIRE(call({"train", write_plan("origin").string()}, log) == 0);
  plan["model"] = {
      {"path", (directory / "origin/model").string()},
      {"vocabulary",
       {{"size", 520}, {"base_size", nullptr}, {"initialization", "random"}, {"map", nullptr}, {"seed", 5}}}};
  plan["adapter"] = {{"r", 256},  // times 520: large enough that moments are paged
                     {"alpha", 16},
                     {"dropout", 0.1},
                     {"use_rslora", true},
                     {"target_modules", {"q_proj", "down_proj", "embed_tokens", "lm_head"}},
                     {"modules_to_save", {"norm"}}};
  plan["quantization"] = {{"type", "nf4"}, {"double_quant", true}};
  plan["frozen_dtype"] = "bfloat16";
  plan["optimizer"]["name"] = "paged_adamw_8bit";
  write_shard(directory / "packed.safetensors", counting_rows(24),
              {0, 2, 3, 6, 8, 9, 12, 14, 15, 18, 20, 22, 24});
  plan["data"][0]["shards"] = {(directory / "packed.safetensors").string()};
  plan["batching"]["max_length"] = 64;
  plan["batching"]["packing"] = true;
  plan["schedule"]["steps"] = 60;
  plan["checkpointing"]["save_steps"] = 2;
  plan["evaluation"]["every_steps"] = 20;
  check_kills(25, {"adapter/adapter_model.safetensors", "base/model.safetensors"});
}

TEST_CASE_FIXTURE(EngineRuns,
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

TEST_CASE_FIXTURE(EngineRuns, "A second engine on a directory is turned away and the first goes on") {
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

TEST_CASE_FIXTURE(EngineRuns,
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

TEST_CASE_FIXTURE(EngineRuns, "Wrong usage exits with 2 and what cannot be done with 1") {
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

TEST_CASE_FIXTURE(EngineRuns, "Prompts are continued line by line, and a bad line is named") {
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
TEST_CASE_FIXTURE(EngineRuns, "More threads than the system gives end the run with its reason") {
  plan["threads"] = 4096;
  const auto path = write_plan("crowded");
  CHECK(wait_for(start({"train", path.string()}, log, RLIM_INFINITY, rlim_t{2} << 30)) == 1);
  const auto last = read_events(directory / "crowded").back();
  CHECK(last["event"] == "run_failed");
  CHECK(last["reason"].get<std::string>().find("of 4096 threads could be started") != std::string::npos);
}
#endif
