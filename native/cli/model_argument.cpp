#include "cli/model_argument.h"

#include <fmt/core.h>

#include <stdexcept>

#include "engine/io/hf_config.h"
#include "engine/io/hf_model.h"
#include "engine/io/peft_adapter.h"
#include "engine/train/checkpoint_model.h"

namespace ziptie {
namespace {

Llama make(const HfModel& weights, const ModelArgument& argument, Backend& backend) {
  ModelOptions options = weights.options_to_run();
  if (!argument.adapter.empty()) {
    options.adapter = read_adapter_config(argument.adapter);
    // They take the place of the model's own, exactly.
    if (has_wide_base_layers(argument.adapter)) options.frozen_dtype = DType::f32;
  }
  try {
    return make_model_to_run(weights.config(), options, backend);
  } catch (const std::invalid_argument& error) {
    throw FileError(fmt::format("{}: does not fit the model: {}",
                                (argument.adapter / adapter_config_file).string(), error.what()));
  }
}

Llama load_directory(const ModelArgument& argument, Backend& backend, const InterruptionPoint& interruption) {
  const HfModel weights(argument.directory);
  Llama model = make(weights, argument, backend);
  // Before the base, which may take minutes to read.
  std::optional<AdapterFile> adapter;
  if (!argument.adapter.empty()) adapter.emplace(argument.adapter, model);
  weights.load_into(model, interruption);
  if (adapter) adapter->load(interruption);
  return model;
}

}  // namespace

NamedModel::NamedModel(ModelArgument argument) : argument_(std::move(argument)) {
  if (argument_.run.empty()) {
    config_ = read_hf_config(argument_.directory);
  } else {
    plan_ = read_plan(argument_.run / "plan.json");
    source_.emplace(open_model(*plan_));
    config_ = source_->config;
  }
}

std::vector<std::uint32_t> NamedModel::stop_ids() const {
  if (!plan_) return read_stop_ids(argument_.directory);
  if (!plan_->architecture) return read_stop_ids(plan_->model_path);
  const auto& id = config_.eos_token_id;
  return id ? std::vector{static_cast<std::uint32_t>(*id)} : std::vector<std::uint32_t>{};
}

std::optional<Llama> NamedModel::load(Backend& backend, const std::function<bool()>& stop) const {
  const InterruptionPoint interruption = interrupted_by(stop);
  try {
    return plan_ ? load_checkpoint_model(*plan_, *source_, argument_.run, backend, interruption)
                 : load_directory(argument_, backend, interruption);
  } catch (const Interrupted&) {
    return std::nullopt;
  }
}

}  // namespace ziptie
