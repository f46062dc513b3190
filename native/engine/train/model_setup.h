#pragma once
#include <memory>
#include <optional>

#include "engine/io/hf_model.h"
#include "engine/io/interruption.h"
#include "engine/model/llama.h"
#include "engine/train/plan.h"

namespace ziptie {

/// What computes, and why.
struct ChosenBackend {
  std::unique_ptr<Backend> backend;
  std::string description;  ///< `cpu: 2 threads, AVX2 (no CUDA plugin)`
};

/// @param threads CPU threads, 0: as many as the machine has
/// @throws RunError when a CUDA device is asked for
ChosenBackend choose_backend(Device device, int threads);

/// The configuration that a plan trains, before anything is allocated. Opens and checks the weights, if there
/// are any.
struct ModelSource {
  LlamaConfig config;
  std::optional<HfModel> weights;
};

/// @throws FileError
ModelSource open_model(const Plan& plan);

/// The model of a plan as it is before step 1: weights read or drawn, the adapter drawn from the plan's seed.
/// @throws FileError; RunError when the machine has too little memory for it or the adapter does not fit the
/// model
std::unique_ptr<Llama> make_model(const Plan& plan, const ModelSource& source, Backend& backend,
                                  const InterruptionPoint& interruption = {});

/// A model for inference, `options.train` being false, its weights yet to be loaded.
/// @throws RunError when the machine has too little memory for it; std::invalid_argument when the options do
/// not fit it
Llama make_model_to_run(const LlamaConfig& config, const ModelOptions& options, Backend& backend);

/// Elements of all base weights.
std::int64_t parameter_count(const LlamaConfig& config);

}  // namespace ziptie
