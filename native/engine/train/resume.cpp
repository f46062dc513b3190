#include "engine/train/resume.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "engine/io/json_object.h"
#include "engine/io/peft_adapter.h"
#include "engine/io/sha256.h"
#include "engine/io/weight_files.h"
#include "engine/train/plan_difference.h"
#include "engine/train/run.h"

namespace ziptie {
namespace {

constexpr std::int64_t state_version = 2;

RunState parse_state(const nlohmann::json& value, const std::string& source) {
  JsonObject json(value, source);
  if (json.integer("version", 1) != state_version)
    json.refuse("version", "written by another release of the engine");
  RunState state;
  state.step = json.integer("step", 1);
  if (!json.is_null("loss")) state.loss = json.number("loss");
  if (!json.is_null("evaluation_loss")) state.evaluation_loss = json.number("evaluation_loss");
  if (!json.is_null("evaluated_step")) state.evaluated_step = json.integer("evaluated_step", 0);
  state.plan = json.object("plan").json();
  json.refuse_other_keys();
  return state;
}

}  // namespace

nlohmann::json RunState::json() const {
  const auto number = [](const std::optional<double>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json();
  };
  return {{"version", state_version},
          {"step", step},
          {"loss", number(loss)},
          {"evaluation_loss", number(evaluation_loss)},
          {"evaluated_step", evaluated_step ? nlohmann::json(*evaluated_step) : nlohmann::json()},
          {"plan", plan}};
}

std::filesystem::path adapter_base(const Plan& plan) {
  // A base that was grown is nowhere else.
  return plan.vocabulary ? plan.output / "base" : plan.model_path;
}

CheckpointTensors checkpoint_weights(const Plan& plan, Llama& model) {
  CheckpointTensors tensors;
  if (plan.adapter) {
    tensors.weights_file = adapter_weights_file;
    tensors.weights = adapter_tensors(model);
    const auto config = adapter_config_json(model.config(), *plan.adapter, adapter_base(plan).string());
    tensors.companions = {{adapter_config_file, config.dump(2) + "\n"}};
  } else {
    tensors.weights_file = single_weights_file;
    for (const Parameter& parameter : model.parameters())
      tensors.weights.push_back({parameter.name, parameter.value});
  }
  return tensors;
}

std::string NewestCheckpoint::reasons() const {
  std::vector<std::string> each;
  for (const auto& checkpoint : damaged) each.push_back(checkpoint.reason);
  return fmt::format("{}", fmt::join(each, "; "));
}

NewestCheckpoint use_newest_checkpoint(const CheckpointStore& store, const CheckpointTensors& tensors,
                                       const std::function<void(const OpenCheckpoint&)>& use) {
  NewestCheckpoint found;
  std::optional<std::int64_t> tried;  // the newest of those that none could be used of
  while (true) {
    const auto steps = store.steps();
    const std::int64_t newest = steps.empty() ? 0 : steps.back();
    if (tried == newest) return found;
    tried = newest;
    found.damaged.clear();
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
      try {
        const auto path = store.path_of(*step);
        const RunState state = parse_state(store.read_state(*step), (path / "state.json").string());
        if (state.step != *step)
          throw FileError(fmt::format("{}: state.json is of step {}", path.string(), state.step));
        use(store.open(*step, tensors));
        found.state = state;
        return found;
      } catch (const FileError& error) {
        found.damaged.push_back({*step, error.what()});
      }
    }
  }
}

std::optional<ResumePoint> load_resume_point(const CheckpointStore& store, const CheckpointTensors& tensors,
                                             Backend& backend, const InterruptionPoint& interruption) {
  const auto newest = use_newest_checkpoint(
      store, tensors, [&](const OpenCheckpoint& checkpoint) { checkpoint.load(backend, interruption); });
  if (newest.state) return ResumePoint{*newest.state, newest.damaged};
  if (newest.damaged.empty()) return std::nullopt;
  throw RunError(fmt::format(
      "none of the run's checkpoints can be read, so it cannot be resumed; delete {} to begin again. {}",
      store.path_of(newest.damaged.front().step).parent_path().string(), newest.reasons()));
}

void verify_inputs(const Plan& plan, const InterruptionPoint& interruption) {
  std::vector<std::string> changes;
  for (const auto& [path, expected] : plan.inputs) {
    try {
      if (sha256_of_file(path, interruption) != expected)
        changes.push_back(fmt::format("{} has changed", path));
    } catch (const FileError& error) {
      changes.push_back(error.what());
    }
  }
  if (changes.empty()) return;
  throw RunError(
      fmt::format("the run cannot be resumed, because its input files are not those it was started with: {}; "
                  "put them back, or start a new run",
                  fmt::join(changes, "; ")));
}

void verify_same_plan(const RunState& state, const Plan& plan) {
  const auto differences = plan_differences(state.plan, plan.json);
  if (differences.empty()) return;
  throw RunError(
      fmt::format("the run cannot be resumed, because its plan is not the one it was started with: {}; "
                  "undo that, or start a new run",
                  fmt::join(differences, "; ")));
}

}  // namespace ziptie
