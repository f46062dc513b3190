#include "engine/train/model_setup.h"

#include <fmt/core.h>

#include "engine/io/hf_config.h"
#include "engine/model/modules.h"
#include "engine/train/run.h"

namespace ziptie {
namespace {

ModelOptions options_of(const Plan& plan) {
  return {.adapter = plan.adapter,
          .quantization = plan.quantization,
          .frozen_dtype = plan.frozen_dtype,
          .recompute = plan.recompute};
}

/// Bytes that the weights of a model take as they are held, and `trained` for each element of those that are
/// trained whole. Adapters, small beside their base, are left out.
double bytes_of_weights(const LlamaConfig& config, const ModelOptions& options, double trained) {
  const auto frozen = static_cast<double>(size_of(options.frozen_dtype));
  // Half a byte, and an absmax for 64 of them, in float32 or in 8 bits.
  const double quantized =
      options.quantization ? 0.5 + (options.quantization->double_quant ? 1.0 : 4.0) / 64 : 0;
  double bytes = 0;
  for (const WeightShape& weight : weight_shapes(config)) {
    const bool is_linear = weight.shape.size() == 2 && weight.name.starts_with("model.layers.");
    double elements = 1;
    for (const std::int64_t length : weight.shape) elements *= static_cast<double>(length);
    const auto module = std::string_view(weight.name).substr(0, weight.name.rfind('.'));
    const bool is_trained = options.train && (!options.adapter || is_saved(module, config, options));
    bytes += elements * (is_trained ? trained : is_linear && options.quantization ? quantized : frozen);
  }
  return bytes;
}

/// Linux hands out more memory than there is and kills whoever uses it, which no checkpoint survives; so ask
/// first.
void check_memory(double needed, const Backend& backend, const char* what, const char* remedy) {
  const auto present = static_cast<double>(backend.memory());
  if (needed <= present) return;
  constexpr double gibibyte = 1 << 30;
  throw RunError(
      fmt::format("The weights{} of this model take {:.1f} GiB, this machine has {:.1f} for it; {}.", what,
                  needed / gibibyte, present / gibibyte, remedy));
}

void check_memory_to_train(const Plan& plan, const LlamaConfig& config, const Backend& backend) {
  // float32 weight and gradient, two moments.
  const double trained = 4 + 4 + (plan.optimizer.name == OptimizerName::adamw_torch ? 8 : 2);
  check_memory(bytes_of_weights(config, options_of(plan), trained), backend,
               plan.adapter ? "" : ", gradients and optimizer state",
               !plan.adapter        ? "train an adapter (LoRA) or a smaller model"
               : !plan.quantization ? "quantise it (load_in_4bit) or choose a smaller model"
                                    : "choose a smaller model");
}

}  // namespace

ChosenBackend choose_backend(Device device, int threads) {
  if (device == Device::cuda) {
    throw RunError("Device 'cuda' is asked for, but this engine has no CUDA backend; use 'auto' or 'cpu'.");
  }
  auto backend = make_cpu_backend(threads);
  std::string description = backend->description();
  if (device == Device::automatic) description += " (no CUDA plugin)";
  return {std::move(backend), std::move(description)};
}

ModelSource open_model(const Plan& plan) {
  if (plan.architecture) return {*plan.architecture, std::nullopt};
  HfModel weights(plan.model_path, plan.vocabulary);
  const LlamaConfig config = weights.config();
  return {config, std::move(weights)};
}

std::unique_ptr<Llama> make_model(const Plan& plan, const ModelSource& source, Backend& backend,
                                  const InterruptionPoint& interruption) {
  check_memory_to_train(plan, source.config, backend);
  std::unique_ptr<Llama> model;
  try {
    model = std::make_unique<Llama>(source.config, options_of(plan), backend);
  } catch (const std::invalid_argument& error) {
    throw RunError(fmt::format("The plan does not fit the model: {}.", error.what()));
  }
  pass(interruption);
  if (source.weights) {
    source.weights->load_into(*model, interruption);
  } else {
    model->initialize_base(plan.model_seed, interruption);
  }
  pass(interruption);
  if (plan.adapter) model->initialize_adapter(plan.seed, interruption);
  return model;
}

Llama make_model_to_run(const LlamaConfig& config, const ModelOptions& options, Backend& backend) {
  check_memory(bytes_of_weights(config, options, 0), backend, "", "choose a smaller model");
  return Llama(config, options, backend);
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
