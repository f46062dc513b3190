// Plans and token shards that cannot be trained on, given to the engine's program: exit status 1, an error
// that names the file and what in it is wrong, and nothing half-written.
#include "engine_process.h"

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Fixture : EngineRuns {
  fs::path shard = directory / "train.safetensors", run = directory / "run";

  std::vector<std::string> files_in(const fs::path& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      names.push_back(entry.path().lexically_relative(folder).string());
    std::ranges::sort(names);
    return names;
  }
  /// Training on these rows is refused with these words after the shard's name, from the beginning and
  /// resumed.
  void check_refused(const std::vector<TokenRow>& rows, const std::string& words) {
    write_shard(shard, rows);
    const auto path = write_plan("run");
    for (const bool resume : {false, true}) {
      CAPTURE(resume);
      fs::remove(log);
      std::vector<std::string> arguments = {"train", path.string()};
      if (resume) arguments.push_back("--resume");
      CHECK(call(arguments, log) == 1);
      CHECK_MESSAGE(
          file_text(log).find("ziptie-engine: " + shard.string() + ": " + words) != std::string::npos,
          file_text(log));
      const json last = read_events(run).back();
      CHECK(last["event"] == "run_failed");
      CHECK_MESSAGE(last["reason"].get<std::string>().starts_with(shard.string() + ": " + words), last);
      CHECK(files_in(run) == std::vector<std::string>{"events.jsonl", "plan.json"});
    }
  }
  /// The plan's text is refused with these words after its name, and no run directory is made.
  void check_plan_refused(const std::string& text, const std::string& words) {
    const auto path = directory / "plan.json";
    std::ofstream(path) << text;
    fs::remove(log);
    CHECK(call({"train", path.string()}, log) == 1);
    const std::string expected = "ziptie-engine: " + path.string() + ": " + words;
    CHECK_MESSAGE(file_text(log).starts_with(expected), file_text(log));
    CHECK(!fs::exists(run));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "Token shards in which nothing carries loss are refused") {
  auto rows = counting_rows(3);
  for (TokenRow& row : rows) std::ranges::fill(row.loss_mask, 0);
  check_refused(rows, "none of the 3 rows of this data set has a token that carries loss (loss_mask 1)");
}

TEST_CASE_FIXTURE(Fixture,
                  "Token shards with ids that the model has no row for are refused by row and token") {
  auto rows = counting_rows(3);
  rows[2].input_ids[4] = 32;
  check_refused(rows, "row 2, token 4: input_ids is 32, which is not in the model's vocabulary of 32");
}

TEST_CASE_FIXTURE(Fixture, "Token shards whose mask is no mask are refused by row and token") {
  auto rows = counting_rows(3);
  rows[1].loss_mask[3] = 2;
  check_refused(rows, "row 1, token 3: loss_mask is 2, neither 0 nor 1");
}

TEST_CASE_FIXTURE(Fixture, "A plan that is none is refused by the key that is wrong, and no run begins") {
  SUBCASE("no file") {
    CHECK(call({"train", (directory / "absent.json").string()}, log) == 1);
    CHECK(file_text(log).find((directory / "absent.json").string() + ": cannot open") != std::string::npos);
    CHECK(!fs::exists(run));
  }
  SUBCASE("cut short") {
    const std::string text = plan.dump();
    check_plan_refused(text.substr(0, text.size() / 2), "");
  }
  SUBCASE("no object") { check_plan_refused("[]", ""); }
  SUBCASE("nested without end") { check_plan_refused(std::string(1 << 20, '['), "nested more than 64 deep"); }
  SUBCASE("a key that is missing") {
    plan["optimizer"].erase("learning_rate");
    check_plan_refused(plan.dump(), "optimizer.learning_rate");
  }
  SUBCASE("a key that is unknown") {
    plan["batching"]["batch_sise"] = 3;
    check_plan_refused(plan.dump(), "batching.batch_sise");
  }
  SUBCASE("a value of another type") {
    plan["schedule"]["steps"] = "many";
    check_plan_refused(plan.dump(), "schedule.steps");
  }
}
