// The engine's program as a process of its own: killed, stopped by signals, out of disk, wrongly called.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <sstream>

#include "temporary_directory.h"
#include "tiny_run.h"

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// Starts the engine with its output in `log`; `file_limit` bounds every file that it writes, like a full
/// disk, and `memory_limit` its address space, of which every thread's stack takes some.
pid_t start(std::vector<std::string> arguments, const fs::path& log, rlim_t file_limit = RLIM_INFINITY,
            rlim_t memory_limit = RLIM_INFINITY) {
  arguments.insert(arguments.begin(), ZIPTIE_ENGINE);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    if (file_limit != RLIM_INFINITY) {
      const rlimit limit = {file_limit, file_limit};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (memory_limit != RLIM_INFINITY) {
      const rlimit limit = {memory_limit, memory_limit};
      ::setrlimit(RLIMIT_AS, &limit);
    }
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return pid;
}

/// Exit status, or minus the signal that ended it.
int wait_for(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int call(const std::vector<std::string>& arguments, const fs::path& log) {
  return wait_for(start(arguments, log));
}

/// Waits until the run says that it has taken `step`, woken by every change of its directory.
void wait_for_step(const fs::path& run, int step) {
  const int watcher = ::inotify_init1(IN_CLOEXEC);
  REQUIRE(::inotify_add_watch(watcher, run.c_str(), IN_MODIFY | IN_CREATE) >= 0);
  while (true) {
    bool reached = false, over = false;
    for (const json& event : read_events(run)) {
      reached = reached || (event["event"] == "step" && event["step"] >= step);
      over = over || event["event"] == "run_failed" || event["event"] == "run_finished";
    }
    if (reached || over) break;
    pollfd waiting = {watcher, POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, 60'000) == 1);
    char changes[4096];
    REQUIRE(::read(watcher, changes, sizeof changes) > 0);
  }
  ::close(watcher);
}

/// The text of each step's loss and gradient norm; steps that were taken again after a kill must give the
/// same.
std::map<int, std::string> losses(const fs::path& run) {
  std::map<int, std::string> losses;
  for (const json& event : read_events(run)) {
    if (event["event"] != "step") continue;
    const std::string text = event["loss"].dump() + " " + event["grad_norm"].dump();
    const auto [known, added] = losses.emplace(event["step"], text);
    CHECK(known->second == text);
  }
  return losses;
}

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

TEST_CASE_FIXTURE(Fixture,
                  "Killed at any step and resumed, again and again, a run gives the losses of an undisturbed "
                  "one to the last bit") {
  const auto whole = write_plan("whole");
  REQUIRE(call({"train", whole.string()}, log) == 0);
  const auto killed = write_plan("killed");
  const fs::path run = directory / "killed";
  bool resume = false;
  // Before the first checkpoint, between checkpoints, right after one.
  for (const int step : {2, 11, 27, 28, 45}) {
    std::vector<std::string> arguments = {"train", killed.string()};
    if (resume) arguments.push_back("--resume");
    const pid_t engine = start(arguments, log);
    wait_for_step(run, step);
    ::kill(engine, SIGKILL);
    const int status = wait_for(engine);
    REQUIRE((status == -SIGKILL || status == 0));
    if (status == 0) break;  // it was quicker than the signal
    CHECK(fs::exists(run / "run.lock"));
    resume = true;
  }
  REQUIRE(resume);
  const int status = call({"train", killed.string(), "--resume"}, log);
  INFO(file_text(log));
  CHECK((status == 0 || read_events(run).back()["event"] == "run_finished"));
  CHECK(losses(run) == losses(directory / "whole"));
  CHECK(losses(run).size() == 60);
  CHECK(file_text(run / "model/model.safetensors") == file_text(directory / "whole/model/model.safetensors"));
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
  std::istringstream lines(file_text(directory / "out"));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  CHECK(json::parse(first)["id"] == "a");
  CHECK(json::parse(first)["output_ids"].size() <= 5);
  CHECK(json::parse(second)["id"] == 7);

  // Whatever the first token is, stopping at it leaves nothing.
  const std::string token = json::parse(first)["output_ids"][0].dump();
  auto stopped = generate;
  stopped.insert(stopped.end(), {"--stop-ids", token});
  REQUIRE(call(stopped, directory / "stopped") == 0);
  std::istringstream stopped_lines(file_text(directory / "stopped"));
  std::getline(stopped_lines, first);
  CHECK(json::parse(first)["output_ids"].empty());
  CHECK(json::parse(first)["finish"] == "stop");

  for (const auto& [line, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"id":1,"input_ids":[99]})", ":1: input_ids"},
           {R"({"id":1,"input_ids":[]})", ":1: the prompt is empty"},
           {R"({"id":1,"input_ids":"text"})", ":1: input_ids: expected an array"},
           {R"({"id":1)", ":1: [json.exception"}}) {
    std::ofstream(prompts) << line << "\n";
    const auto bad = directory / "bad";
    fs::remove(bad);
    CHECK(call(generate, bad) == 1);
    CHECK_MESSAGE(file_text(bad).find(prompts + message) != std::string::npos, file_text(bad));
  }
}

TEST_CASE_FIXTURE(Fixture, "More threads than the system gives end the run with its reason") {
  plan["threads"] = 4096;
  const auto path = write_plan("crowded");
  CHECK(wait_for(start({"train", path.string()}, log, RLIM_INFINITY, rlim_t{2} << 30)) == 1);
  const auto last = read_events(directory / "crowded").back();
  CHECK(last["event"] == "run_failed");
  CHECK(last["reason"].get<std::string>().find("of 4096 threads could be started") != std::string::npos);
}
