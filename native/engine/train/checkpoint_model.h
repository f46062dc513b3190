#pragma once
#include <filesystem>

#include "engine/io/interruption.h"
#include "engine/train/model_setup.h"

namespace ziptie {

/// The model that the newest checkpoint of a run holds, for inference: its base quantised and stored as the
/// plan trains it, the adapter on it. The run may be going on meanwhile; nothing of it is touched. A
/// checkpoint that is damaged, or deleted while it is read, is passed over for the one before.
/// @param run the run directory, which may have been moved since
/// @param source the plan's
/// @throws FileError; RunError when there is no checkpoint, or none can be read
Llama load_checkpoint_model(const Plan& plan, const ModelSource& source, const std::filesystem::path& run,
                            Backend& backend, const InterruptionPoint& interruption = {});

}  // namespace ziptie
