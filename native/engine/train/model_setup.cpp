#include "engine/train/model_setup.h"

#include <fmt/core.h>
#include <unistd.h>

#include "engine/io/hf_config.h"
#include "engine/train/run.h"

namespace ziptie {
namespace {

/// Linux hands out more memory than there is and kills whoever uses it, which no checkpoint survives; so ask
/// first.
void check_memory(const LlamaConfig& config, bool trains_base) {
  // Weights; and when they are trained, gradients and two moments of the same size.
  const double copies = trains_base ? 4 : 1;
  const double needed = static_cast<double>(parameter_count(config)) * sizeof(float) * copies;
  const double present =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (needed <= present) return;
  constexpr double gibibyte = 1 << 30;
  throw RunError(
      fmt::format("the weights{} of this model take {:.1f} GiB, this machine has {:.1f}; {}",
                  trains_base ? ", gradients and optimizer state" : "", needed / gibibyte, present / gibibyte,
                  trains_base ? "train an adapter (LoRA) or a smaller model" : "choose a smaller model"));
}

}  // namespace

ChosenBackend choose_backend(Device device, int threads) {
  if (device == Device::cuda) {
    throw RunError("device: 'cuda' is asked for, but this engine has no CUDA backend; use 'auto' or 'cpu'");
  }
  auto backend = make_cpu_backend(threads);
  std::string description = backend->description();
  if (device == Device::automatic) description += " (no CUDA plugin)";
  return {std::move(backend), std::move(description)};
}

ModelSource open_model(const Plan& plan) {
  const auto refuse = [](const char* what) {
    return RunError(fmt::format("this engine cannot do {} yet", what));
  };
  if (plan.frozen_dtype != DType::f32) throw refuse("frozen weights in bfloat16");
  if (plan.optimizer.embedding_learning_rate) throw refuse("a learning rate for embeddings");
  if (plan.batching.group_by_length) throw refuse("group_by_length");
  if (plan.batching.packing) throw refuse("packing");
  if (plan.architecture) return {*plan.architecture, std::nullopt};
  HfModel weights(plan.model_path, plan.vocabulary);
  const LlamaConfig config = weights.config();
  return {config, std::move(weights)};
}

std::unique_ptr<Llama> make_model(const Plan& plan, const ModelSource& source, Backend& backend) {
  check_memory(source.config, !plan.adapter);
  std::unique_ptr<Llama> model;
  try {
    const ModelOptions options{.adapter = plan.adapter,
                               .quantization = plan.quantization,
                               .frozen_dtype = plan.frozen_dtype,
                               .recompute = plan.recompute};
    model = std::make_unique<Llama>(source.config, options, backend);
  } catch (const std::invalid_argument& error) {
    throw RunError(fmt::format("plan: {}", error.what()));
  }
  if (source.weights) {
    source.weights->load_into(*model);
  } else {
    model->initialize_base(plan.model_seed);
  }
  if (plan.adapter) model->initialize_adapter(plan.seed);
  return model;
}

std::int64_t parameter_count(const LlamaConfig& config) {
  std::int64_t count = 0;
  for (const WeightShape& weight : weight_shapes(config)) {
    std::int64_t elements = 1;
    for (const std::int64_t length : weight.shape) elements *= length;
    count += elements;
  }
  return count;
}

}  // namespace ziptie
