#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/checkpoint.h"
#include "engine/io/interruption.h"
#include "engine/train/plan.h"

namespace ziptie {

/// Where a run stood when a checkpoint was written; its `state.json`.
struct RunState {
  std::int64_t step = 0;
  std::optional<double> loss;                  ///< of that step
  std::optional<double> evaluation_loss;       ///< the last one measured that is finite
  std::optional<std::int64_t> evaluated_step;  ///< after which the last one was measured; 0: before the first
  nlohmann::json plan;

  nlohmann::json json() const;
};

/// What a run's adapter is to be applied to; empty: a model of random weights, which is not written.
std::filesystem::path adapter_base(const Plan& plan);

/// The weights of `model` that a checkpoint of this plan holds, an adapter as PEFT loads it; without the
/// optimizer's state.
CheckpointTensors checkpoint_weights(const Plan& plan, Llama& model);

struct DamagedCheckpoint {
  std::int64_t step;
  std::string reason;
};

/// The newest checkpoint that could be used.
struct NewestCheckpoint {
  std::optional<RunState> state;           ///< nothing: there is none that could be
  std::vector<DamagedCheckpoint> damaged;  ///< newer ones that could not be, the newest first

  std::string reasons() const;  ///< of the damaged ones, for messages
};

/// Gives `use` the newest checkpoint that can be opened and that `use` throws no FileError at. The run may be
/// going on meanwhile, and delete old checkpoints as it writes new ones: those are looked for until the
/// newest stays the same.
/// @throws what `use` throws, FileError apart
NewestCheckpoint use_newest_checkpoint(const CheckpointStore& store, const CheckpointTensors& tensors,
                                       const std::function<void(const OpenCheckpoint&)>& use);

struct ResumePoint {
  RunState state;
  std::vector<DamagedCheckpoint> damaged;  ///< newer checkpoints that could not be loaded, the newest first
};

/// Loads the newest checkpoint that can be loaded into `tensors`; newer, damaged ones are named and left as
/// they are. Nothing when there has never been a checkpoint.
/// @throws RunError when there are checkpoints and none can be loaded; what `interruption` throws. The
/// tensors then hold anything
std::optional<ResumePoint> load_resume_point(const CheckpointStore& store, const CheckpointTensors& tensors,
                                             Backend& backend, const InterruptionPoint& interruption = {});

/// Reads every input of the plan and compares its SHA-256. @throws RunError naming those that changed or are
/// gone
void verify_inputs(const Plan& plan, const InterruptionPoint& interruption = {});

/// @throws RunError naming what has changed since the checkpoint, if that would change what is learned
void verify_same_plan(const RunState& state, const Plan& plan);

}  // namespace ziptie
