#include "engine/io/checkpoint.h"

#include <doctest/doctest.h>

#include <fstream>
#include <limits>
#include <thread>

#include "engine/train/resume.h"
#include "refusal.h"
#include "temporary_directory.h"

using namespace ziptie;
namespace fs = std::filesystem;

namespace {

/// Two small tensors on a device, and a store to save them in.
struct Fixture {
  TemporaryDirectory directory;
  std::unique_ptr<Backend> backend = make_cpu_backend(1);
  Buffer weight_buffer = backend->allocate(4 * sizeof(float)),
         moment_buffer = backend->allocate(4 * sizeof(float));
  CheckpointTensors tensors = {
      "model.safetensors", {{"w", tensor(weight_buffer)}}, {{"w.exp_avg", tensor(moment_buffer)}}};
  CheckpointStore store{directory.path()};

  static Tensor tensor(const Buffer& buffer) { return {buffer.data(), DType::f32, 2, {2, 2}}; }

  void fill(float value) {
    const std::vector<float> values = {value, value + 1, value + 2, value + 3};
    backend->copy_to_device(weight_buffer.data(), values.data(), 16);
  }
  float first() {
    float value;
    backend->copy_to_host(&value, weight_buffer.data(), sizeof value);
    return value;
  }
  void save(std::int64_t step, std::optional<std::int64_t> limit = {}) {
    fill(static_cast<float>(step));
    RunState state;
    state.step = step;
    state.plan = nlohmann::json::object();
    store.save(step, tensors, state.json(), *backend);
    if (limit) CHECK(store.prune(*limit).empty());
  }
  fs::path checkpoint(std::int64_t step) const { return store.path_of(step); }
};

using Steps = std::vector<std::int64_t>;

}  // namespace

TEST_CASE_FIXTURE(Fixture, "A checkpoint gives back what was saved") {
  save(3);
  fill(99);
  CHECK(store.read_state(3)["step"] == 3);
  store.open(3, tensors).load(*backend);
  CHECK(first() == 3);
}

TEST_CASE_FIXTURE(Fixture, "The oldest are deleted, once the new one stands") {
  for (const std::int64_t step : {5, 10, 100}) save(step, 2);
  CHECK(store.steps() == Steps{10, 100});
  save(200, 1);
  CHECK(store.steps() == Steps{200});
}

TEST_CASE_FIXTURE(
    Fixture,
    "What a killed engine left half-written is no checkpoint, and is removed by the next that trains") {
  save(1);
  fs::create_directories(directory / "checkpoints/.step-2.tmp");
  std::ofstream(directory / "checkpoints/.step-2.tmp/model.safetensors") << "half";
  CHECK(store.steps() == Steps{1});
  CheckpointStore restarted(directory.path());
  CHECK(fs::exists(directory / "checkpoints/.step-2.tmp"));
  restarted.remove_unfinished();
  CHECK(!fs::exists(directory / "checkpoints/.step-2.tmp"));
  CHECK(restarted.steps() == Steps{1});
}

TEST_CASE_FIXTURE(Fixture, "A checkpoint of the same step is replaced") {
  save(4);
  fill(7);
  RunState state;
  state.step = 4;
  state.plan = nlohmann::json::object();
  store.save(4, tensors, state.json(), *backend);
  fill(0);
  store.open(4, tensors).load(*backend);
  CHECK(first() == 7);
}

TEST_CASE_FIXTURE(Fixture, "A save that fails leaves the others as they were and nothing half-written") {
  save(1);
  // A directory under the name of the file to be written stops the save half-way, as a full disk would.
  fs::create_directory(directory / "blocked");
  CheckpointTensors impossible = tensors;
  impossible.weights_file = "../../blocked";
  CHECK(refusal([&] { store.save(2, impossible, {}, *backend); }).find("cannot create") != std::string::npos);
  CHECK(store.steps() == Steps{1});
  CHECK(std::distance(fs::directory_iterator(directory / "checkpoints"), fs::directory_iterator()) == 1);
}

TEST_CASE_FIXTURE(Fixture, "Resuming passes over damaged checkpoints to the newest whole one") {
  for (const std::int64_t step : {1, 2, 3, 4}) save(step);
  fs::resize_file(checkpoint(2) / "model.safetensors", 40);
  fs::resize_file(checkpoint(3) / "optimizer.safetensors",
                  fs::file_size(checkpoint(3) / "optimizer.safetensors") - 1);
  std::ofstream(checkpoint(4) / "state.json") << "{";
  const auto point = load_resume_point(store, tensors, *backend);
  REQUIRE(point);
  CHECK(point->state.step == 1);
  CHECK(first() == 1);
  REQUIRE(point->damaged.size() == 3);
  CHECK(point->damaged[0].reason.find("step-4/state.json") != std::string::npos);
  CHECK(point->damaged[1].reason.find("step-3/optimizer.safetensors") != std::string::npos);
  CHECK(point->damaged[2].reason.find("step-2/model.safetensors") != std::string::npos);
}

TEST_CASE_FIXTURE(
    Fixture,
    "With no whole checkpoint left, resuming says what is wrong with each; with none at all there is none") {
  CHECK(!load_resume_point(store, tensors, *backend));
  save(1);
  fs::remove(checkpoint(1) / "optimizer.safetensors");
  const std::string message = refusal([&] { load_resume_point(store, tensors, *backend); });
  CHECK(message.find("none of the run's checkpoints can be read") != std::string::npos);
  CHECK(message.find("step-1/optimizer.safetensors: cannot open") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture,
                  "A checkpoint whose numbers cannot be loaded is passed over, and nothing is deleted") {
  for (const std::int64_t step : {1, 2, 3}) save(step);
  fill(std::numeric_limits<float>::infinity());
  RunState state;
  state.step = 4;
  state.plan = nlohmann::json::object();
  store.save(4, tensors, state.json(), *backend);
  const auto point = load_resume_point(store, tensors, *backend);
  REQUIRE(point);
  CHECK(point->state.step == 3);
  CHECK(first() == 3);
  REQUIRE(point->damaged.size() == 1);
  CHECK(point->damaged[0].reason.find("holds inf at element 0") != std::string::npos);
  CHECK(store.steps() == Steps{1, 2, 3, 4});
}

TEST_CASE_FIXTURE(Fixture,
                  "Loading a checkpoint can be interrupted, which is no damage of the checkpoint's") {
  for (const std::int64_t step : {1, 2}) save(step);
  CHECK(refusal([&] {
          load_resume_point(store, tensors, *backend, [] { throw std::runtime_error("interrupted"); });
        }) == "interrupted");
}

TEST_CASE_FIXTURE(Fixture, "A checkpoint that is open is read whole, even once it has been deleted") {
  save(1);
  const OpenCheckpoint opened = store.open(1, tensors);
  save(2, 1);
  CHECK(store.steps() == Steps{2});
  opened.load(*backend);
  CHECK(first() == 1);
}

TEST_CASE_FIXTURE(Fixture, "Whoever only wants weights is not asked for the optimizer's state") {
  save(1);
  fs::remove(checkpoint(1) / "optimizer.safetensors");
  tensors.optimizer.clear();
  fill(99);
  store.open(1, tensors).load(*backend);
  CHECK(first() == 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "Where a run deletes its checkpoints while they are looked at, its newer ones are found") {
  for (const std::int64_t step : {1, 2}) save(step);
  int used = 0;
  const auto newest = use_newest_checkpoint(store, tensors, [&](const OpenCheckpoint& opened) {
    if (++used == 1) {
      save(3, 1);
      throw FileError("lost while it was read");
    }
    opened.load(*backend);
  });
  REQUIRE(newest.state);
  CHECK(newest.state->step == 3);
  CHECK(newest.damaged.empty());
  CHECK(first() == 3);
}

TEST_CASE_FIXTURE(Fixture, "A run that keeps one checkpoint always has one to answer with") {
  save(1);
  std::thread run([&] {
    for (std::int64_t step = 2; step <= 40; ++step) save(step, 1);
  });
  std::int64_t answered = 0;
  while (answered < 40) {
    const auto newest = use_newest_checkpoint(store, tensors, [](const OpenCheckpoint&) {});
    if (!newest.state || newest.state->step < answered) break;
    answered = newest.state->step;
  }
  run.join();
  CHECK(answered == 40);
}

TEST_CASE_FIXTURE(Fixture, "The checkpoint of another release is told as that, whatever else it lacks") {
  save(1);
  nlohmann::json state = store.read_state(1);
  state["version"] = 1;
  std::ofstream(checkpoint(1) / "state.json") << state;
  fs::remove(checkpoint(1) / "model.safetensors");
  const std::string message = refusal([&] { load_resume_point(store, tensors, *backend); });
  CHECK_MESSAGE(message.find("version: written by another release of the engine") != std::string::npos,
                message);
}

TEST_CASE_FIXTURE(Fixture,
                  "A tensor that a checkpoint has under two names is one, or the checkpoint is damaged") {
  tensors.optimizer.clear();
  tensors.weights.push_back({"head", tensor(moment_buffer)});
  save(1);  // the two differ
  tensors.weights[1] = {"head", tensor(weight_buffer)};
  CHECK(refusal([&] {
          store.open(1, tensors).load(*backend);
        }).find("tensors 'w' and 'head' are one in this tied model, but they differ") != std::string::npos);
  save(2);
  fill(99);
  store.open(2, tensors).load(*backend);
  CHECK(first() == 2);
}

TEST_CASE_FIXTURE(Fixture, "A matrix that others hold turned over is saved so, and comes back") {
  tensors.weights[0].transposed = true;
  tensors.weights[0].value.shape = {1, 4};
  tensors.companions = {{"adapter_config.json", "{}"}};
  save(3);
  const SafetensorsFile file(checkpoint(3) / "model.safetensors");
  CHECK(file.at("w").shape == std::vector<std::int64_t>{4, 1});
  CHECK(fs::exists(checkpoint(3) / "adapter_config.json"));
  fill(99);
  store.open(3, tensors).load(*backend);
  CHECK(first() == 3);
}

TEST_CASE_FIXTURE(Fixture, "What is set aside is no checkpoint any more, but is all still there") {
  for (int again = 0; again < 2; ++again) {
    save(5);
    const auto aside = store.set_aside(5);
    CHECK(aside.filename() == (again == 0 ? "damaged-step-5" : "damaged-step-5-2"));
    CHECK(fs::exists(aside / "model.safetensors"));
    CHECK(store.steps().empty());
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "An old checkpoint that cannot be deleted is told of, and does not keep the others") {
  for (const std::int64_t step : {1, 2, 3}) save(step);
  // The name that it would be deleted under is taken by something that no directory can replace.
  std::ofstream(directory / "checkpoints/.step-1.tmp") << "in the way";
  const auto failures = store.prune(1);
  REQUIRE(failures.size() == 1);
  CHECK(failures[0].find("step-1: cannot remove") != std::string::npos);
  CHECK(store.steps() == Steps{1, 3});
}

TEST_CASE_FIXTURE(Fixture, "Moments in 8 bits come back as they were, and are not taken for others") {
  const std::vector<std::uint8_t> codes = {0, 127, 128, 255};
  Buffer codes_buffer = backend->allocate(codes.size());
  tensors.optimizer = {{"w.exp_avg", {codes_buffer.data(), DType::u8, 2, {2, 2}}}};
  backend->copy_to_device(codes_buffer.data(), codes.data(), codes.size());
  save(1);
  const std::vector<std::uint8_t> other(4, 7);
  backend->copy_to_device(codes_buffer.data(), other.data(), other.size());
  store.open(1, tensors).load(*backend);
  std::vector<std::uint8_t> loaded(4);
  backend->copy_to_host(loaded.data(), codes_buffer.data(), loaded.size());
  CHECK(loaded == codes);
  tensors.optimizer = {{"w.exp_avg", tensor(moment_buffer)}};
  CHECK(refusal([&] {
          store.open(1, tensors);
        }).find("tensor 'w.exp_avg' is U8 [2, 2], the run needs F32 [2, 2]") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "A checkpoint of another model does not fit") {
  save(1);
  tensors.weights[0].value.shape = {4, 1};
  CHECK(refusal([&] { store.open(1, tensors); }).find("tensor 'w' is F32 [2, 2], the run needs F32 [4, 1]") !=
        std::string::npos);
}
