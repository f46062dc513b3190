#include "engine/train/checkpoint_model.h"

#include <fmt/core.h>

#include "engine/train/resume.h"
#include "engine/train/run.h"

namespace ziptie {
namespace {

[[noreturn]] void throw_without_checkpoint(const std::filesystem::path& run, const NewestCheckpoint& newest) {
  if (newest.damaged.empty()) throw RunError(fmt::format("{}: this run has no checkpoint yet", run.string()));
  throw RunError(
      fmt::format("{}: none of this run's checkpoints can be read. {}", run.string(), newest.reasons()));
}

}  // namespace

Llama load_checkpoint_model(const Plan& plan, const ModelSource& source, const std::filesystem::path& run,
                            Backend& backend, const InterruptionPoint& interruption) {
  const CheckpointStore store(run);
  // Without an adapter every weight has been trained, and what is trained is never rounded.
  const ModelOptions options{.adapter = plan.adapter,
                             .quantization = plan.quantization,
                             .frozen_dtype = plan.adapter ? plan.frozen_dtype : DType::f32,
                             .train = false};
  Llama model = make_model_to_run(source.config, options, backend);
  const CheckpointTensors weights = checkpoint_weights(plan, model);
  // Before the base, which may take minutes to read; by then there may be a newer one.
  if (const auto newest = use_newest_checkpoint(store, weights, [](const OpenCheckpoint&) {}); !newest.state)
    throw_without_checkpoint(run, newest);
  // Without an adapter, the checkpoint has every weight.
  if (plan.adapter && source.weights)
    source.weights->load_into(model, interruption);
  else if (plan.adapter)
    model.initialize_base(plan.model_seed, interruption);
  const auto newest = use_newest_checkpoint(
      store, weights, [&](const OpenCheckpoint& checkpoint) { checkpoint.load(backend, interruption); });
  if (!newest.state) throw_without_checkpoint(run, newest);
  return model;
}

}  // namespace ziptie
