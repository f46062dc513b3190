#include <doctest/doctest.h>

#include <cmath>
#include <regex>

#include "engine/io/sha256.h"
#include "engine/train/events.h"
#include "refusal.h"
#include "temporary_directory.h"
#include "tiny_run.h"

using namespace ziptie;

namespace {

std::string sha256_of(const std::string& text) { return sha256(std::as_bytes(std::span(text))); }

}  // namespace

TEST_CASE("SHA-256 gives the digests of NIST's examples, at every padding") {
  CHECK(sha256_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlm"
                  "nopqrsmnopqrst"
                  "nopqrstu") == "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  CHECK(sha256_of(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("The hash of a file is that of its contents") {
  const TemporaryDirectory directory;
  std::ofstream(directory / "file") << "abc";
  std::ofstream(directory / "empty");
  CHECK(sha256_of_file(directory / "file") == sha256_of("abc"));
  CHECK(sha256_of_file(directory / "empty") == sha256_of(""));
}

TEST_CASE(
    "An event is one line with its name, the time in UTC and its fields; numbers that are not finite are "
    "null") {
  const TemporaryDirectory directory;
  EventLog(directory / "events.jsonl")
      .write("step", {{"step", 3}, {"loss", std::nan("")}, {"grad_norm", 1e300 * 1e10}});
  const std::string line = file_text(directory / "events.jsonl");
  CHECK(line.ends_with("}\n"));
  const auto event = nlohmann::json::parse(line);
  CHECK(event["event"] == "step");
  CHECK(std::regex_match(event["time"].get<std::string>(),
                         std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")));
  CHECK(event["step"] == 3);
  CHECK(event["loss"].is_null());
  CHECK(event["grad_norm"].is_null());
}

TEST_CASE("A line that a killed engine left half-written spoils no other") {
  const TemporaryDirectory directory;
  std::ofstream(directory / "events.jsonl") << "{\"event\":\"run_started\"}\n{\"event\":\"st";
  EventLog(directory / "events.jsonl").write("step", {{"step", 1}});
  const auto events = read_events(directory.path());
  REQUIRE(events.size() == 2);
  CHECK(events[1]["step"] == 1);
}

TEST_CASE("A full disk is reported, not passed over") {
  EventLog log("/dev/full");
  CHECK(refusal([&] { log.write("step", nlohmann::json::object()); }) ==
        "/dev/full: cannot write: No space left on device");
}

TEST_CASE("The past of a run is what its last event of a kind says") {
  const TemporaryDirectory directory;
  const auto path = directory / "events.jsonl";
  CHECK(!summarize_events(path).started);
  std::ofstream(path) << "{\"event\":\"run_failed\"}\n";
  CHECK(!summarize_events(path).started);
  std::ofstream(path, std::ios::app) << "{\"event\":\"run_started\"}\nnoise\n";
  CHECK(summarize_events(path).started);
  std::ofstream(path, std::ios::app) << "{\"event\":\"run_finished\",\"state\":\"stopped\"}\n";
  CHECK(!summarize_events(path).finished);
  std::ofstream(path, std::ios::app) << "{\"event\":\"run_finished\",\"state\":\"finished\"}\n";
  CHECK(summarize_events(path).finished);
}
