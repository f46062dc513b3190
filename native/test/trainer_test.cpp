// A step that is given up half-way, at any of the moments at which it may be.
#include "engine/train/trainer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "engine/train/model_setup.h"
#include "temporary_directory.h"
#include "tiny_run.h"

using namespace ziptie;
using nlohmann::json;

namespace {

/// A plan's model and all that trains it.
struct Training {
  explicit Training(const json& json)
      : plan(parse_plan(json, "plan.json")),
        backend(make_cpu_backend(1)),
        source(open_model(plan)),
        data(plan, source.config.vocab_size),
        model(make_model(plan, source, *backend)),
        trainer(plan, *model, data) {}

  std::string bytes(const Tensor& tensor) const {
    std::string bytes(static_cast<std::size_t>(tensor.elements()) * size_of(tensor.dtype), '\0');
    backend->copy_to_host(bytes.data(), tensor.data, bytes.size());
    return bytes;
  }
  /// Weights and moments, to the last bit.
  std::string standing() {
    std::string all;
    for (const auto& tensors : {trainer.optimizer().weights(), trainer.optimizer().state()})
      for (const NamedTensor& tensor : tensors) all += bytes(tensor.value);
    return all;
  }
  bool gradients_are_zero() {
    return std::ranges::all_of(model->parameters(), [&](const Parameter& parameter) {
      return !parameter.gradient || backend->squared_norm(*parameter.gradient) == 0;
    });
  }

  Plan plan;
  std::unique_ptr<Backend> backend;
  ModelSource source;
  TrainingData data;
  std::unique_ptr<Llama> model;
  Trainer trainer;
};

/// Lets so many questions pass, and then ends the work.
class After {
 public:
  explicit After(int questions) : left_(questions) {}
  InterruptionPoint point() {
    return [this] {
      if (left_-- == 0) throw Interrupted();
    };
  }

 private:
  int left_;
};

/// Does `work` with an end at its first question, its second, …, and says after each whether it came to its
/// end; gives how often it had to be given up until it did.
int give_up_everywhere(const std::function<void(const InterruptionPoint&)>& work,
                       const std::function<void()>& given_up) {
  for (int questions = 0;; ++questions) {
    After after(questions);
    try {
      work(after.point());
      return questions;
    } catch (const Interrupted&) {
      given_up();
    }
  }
}

struct Fixture {
  TemporaryDirectory directory;
  json plan = tiny_plan(directory.path(), 4);

  void adapt() {
    plan["adapter"] = {{"r", 256},  // such that some moments are held in 8 bits
                       {"alpha", 16},
                       {"dropout", 0.1},
                       {"use_rslora", true},
                       {"target_modules", {"q_proj", "v_proj", "down_proj", "embed_tokens", "lm_head"}},
                       {"modules_to_save", {"norm"}}};
    plan["quantization"] = {{"type", "nf4"}, {"double_quant", true}};
    plan["optimizer"]["name"] = "paged_adamw_8bit";
  }
};

constexpr int layers = 2, micro_batches = 2;
constexpr int layer_forward = 5, layer_backward = 5, head = 1;  // questions, the head in one chunk

}  // namespace

TEST_CASE_FIXTURE(
    Fixture, "A step given up at any moment leaves everything as it was, and taken again gives the same") {
  int again = 0;  // questions while a layer is computed again
  SUBCASE("full training") {}
  SUBCASE("QLoRA") {
    adapt();
    SUBCASE("everything kept") {}
    SUBCASE("gate and up computed again") { plan["recompute"] = "selective", again = 1; }
    SUBCASE("everything computed again") { plan["recompute"] = "full", again = 4; }
  }
  Training whole(plan), interrupted(plan);
  for (Training* training : {&whole, &interrupted}) training->trainer.step(1, {});
  const std::string before = whole.standing();
  REQUIRE(interrupted.standing() == before);
  const StepResult expected = whole.trainer.step(2, {});
  REQUIRE(whole.standing() != before);

  StepResult result;
  const int given_up =
      give_up_everywhere([&](const InterruptionPoint& point) { result = interrupted.trainer.step(2, point); },
                         [&] {
                           CHECK(interrupted.standing() == before);
                           CHECK(interrupted.gradients_are_zero());
                         });
  // The last layer is never computed again.
  CHECK(given_up ==
        micro_batches * (layers * (layer_forward + layer_backward) + (layers - 1) * again + head));
  CHECK(result.loss == expected.loss);
  CHECK(result.grad_norm == expected.grad_norm);
  CHECK(interrupted.standing() == whole.standing());
}

TEST_CASE_FIXTURE(Fixture,
                  "An evaluation given up at any moment changes nothing, and done again gives the same") {
  Training training(plan);
  training.trainer.step(1, {});
  const std::string before = training.standing();
  const auto unseen = [](std::int64_t, std::int64_t) {};
  const Loss expected = training.trainer.evaluate(unseen, {});
  Loss loss;
  const int given_up = give_up_everywhere(
      [&](const InterruptionPoint& point) { loss = training.trainer.evaluate(unseen, point); },
      [&] { CHECK(training.standing() == before); });
  CHECK(given_up == 3 * (layers * layer_forward + head));  // five rows, two at a time
  CHECK(loss.sum == expected.sum);
  CHECK(loss.tokens == expected.tokens);
}
