#include "engine/train/checkpoint_model.h"

#include <fmt/core.h>

#include "engine/train/resume.h"
#include "engine/train/run.h"

namespace ziptie {

Llama load_checkpoint_model(const Plan& plan, const ModelSource& source, const std::filesystem::path& run,
                            Backend& backend, const InterruptionPoint& interruption) {
  const CheckpointStore store(run);
  // Before the base, which may take minutes to read.
  if (store.steps().empty()) throw RunError(fmt::format("{}: this run has no checkpoint yet", run.string()));
  // Without an adapter every weight has been trained, and what is trained is never rounded.
  const ModelOptions options{.adapter = plan.adapter,
                             .quantization = plan.quantization,
                             .frozen_dtype = plan.adapter ? plan.frozen_dtype : DType::f32,
                             .train = false};
  Llama model = make_model_to_run(source.config, options, backend);
  // Without an adapter, the checkpoint has every weight.
  if (plan.adapter && source.weights)
    source.weights->load_into(model, interruption);
  else if (plan.adapter)
    model.initialize_base(plan.model_seed, interruption);
  if (!load_resume_point(store, checkpoint_weights(plan, model), backend, interruption))
    throw RunError(fmt::format("{}: its checkpoints are gone", run.string()));
  return model;
}

}  // namespace ziptie
