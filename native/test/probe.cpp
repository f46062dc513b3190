// ziptie-engine-probe: shows the oracle tests what the engine computes, where no command of the engine would.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>

#include "engine/data/token_dataset.h"
#include "engine/io/hf_model.h"
#include "engine/io/peft_adapter.h"
#include "engine/train/model_setup.h"
#include "engine/train/optimizer.h"
#include "engine/train/plan.h"

namespace {

using namespace ziptie;
namespace fs = std::filesystem;

struct LogitsArguments {
  fs::path model, adapter, shard, output;
  bool gradients = false;
  Recompute recompute = Recompute::none;
};

struct RewriteArguments {
  fs::path model, adapter, output;
  bool fresh = false;
};

template <class T>
TensorContents tensor(const std::string& name, DType dtype, std::vector<std::int64_t> shape,
                      const std::vector<T>& values) {
  return {name, dtype, std::move(shape), std::as_bytes(std::span(values))};
}

/// Writes `logits` [tokens, vocab_size] and the sum of the losses of all rows of a shard, with
/// `gradient.NAME` of every trainable weight where asked for.
void write_logits(const LogitsArguments& arguments) {
  const auto chosen = choose_backend(Device::cpu, 0);
  Backend& backend = *chosen.backend;
  const HfModel files(arguments.model);
  std::optional<AdapterConfig> adapter;
  if (!arguments.adapter.empty()) adapter = read_adapter_config(arguments.adapter);
  Llama model(files.config(), {.adapter = adapter, .recompute = arguments.recompute}, backend);
  files.load_into(model);
  if (adapter) AdapterFile(arguments.adapter, model).load();

  const fs::path shards[] = {arguments.shard};
  const TokenDataset rows(shards, {files.config().vocab_size, std::numeric_limits<std::int32_t>::max()});
  TokenBatch batch;
  for (std::int64_t row = 0; row < rows.units(); ++row) rows.append_unit(row, batch);

  const std::vector<float> logits = model.logits(batch.view());
  const Loss loss =
      arguments.gradients ? model.forward_backward(batch.view(), 1.0, {}) : model.forward(batch.view());
  const std::vector<float> loss_sum = {static_cast<float>(loss.sum)};
  const std::vector<std::uint64_t> loss_tokens = {static_cast<std::uint64_t>(loss.tokens)};
  std::vector<TensorContents> tensors = {
      tensor("logits", DType::f32, {batch.tokens(), files.config().vocab_size}, logits),
      tensor("loss_sum", DType::f32, {1}, loss_sum), tensor("loss_tokens", DType::u64, {1}, loss_tokens)};
  std::vector<std::vector<float>> gradients;
  gradients.reserve(model.parameters().size());
  if (arguments.gradients) {
    for (const Parameter& parameter : model.parameters()) {
      if (!parameter.gradient) continue;
      auto& values = gradients.emplace_back(parameter.gradient->elements());
      backend.copy_to_host(values.data(), parameter.gradient->data, values.size() * sizeof(float));
      const auto& shape = parameter.value.shape;
      tensors.push_back(tensor("gradient." + parameter.name, DType::f32,
                               {shape.begin(), shape.begin() + parameter.value.rank}, values));
    }
  }
  write_safetensors(arguments.output, tensors, {});
}

struct OptimizerArguments {
  fs::path input, output;
  std::string name = "adamw_torch";
  OptimizerSettings settings{};
};

/// Takes a step for each of `gradients` [steps, elements] from `value` [elements], and writes what they are
/// after each: `value` and the state's tensors, [steps, …].
void write_optimizer_steps(OptimizerArguments arguments) {
  const auto chosen = choose_backend(Device::cpu, 0);
  Backend& backend = *chosen.backend;
  const SafetensorsFile input(arguments.input);
  const TensorInfo& gradients = input.at("gradients");
  const std::int64_t steps = gradients.shape.at(0), elements = gradients.shape.at(1);
  const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(float);
  const Buffer value = backend.allocate(bytes), gradient = backend.allocate(bytes);
  Parameter parameter;
  parameter.name = "value";
  parameter.value = {value.data(), DType::f32, 1, {elements}};
  parameter.gradient = Tensor{gradient.data(), DType::f32, 1, {elements}};
  load_bytes(input, input.at("value"), value.data(), backend);
  if (arguments.name == "adamw_8bit") arguments.settings.name = OptimizerName::adamw_8bit;
  if (arguments.name == "paged_adamw_8bit") arguments.settings.name = OptimizerName::paged_adamw_8bit;
  Optimizer optimizer(backend, std::span(&parameter, 1), arguments.settings);

  std::vector<NamedTensor> shown = optimizer.weights();
  for (const NamedTensor& tensor : optimizer.state()) shown.push_back(tensor);
  std::vector<std::vector<std::byte>> after(shown.size());
  const std::vector<std::byte> all_gradients = input.read(gradients);
  for (std::int64_t step = 1; step <= steps; ++step) {
    backend.copy_to_device(gradient.data(), all_gradients.data() + static_cast<std::size_t>(step - 1) * bytes,
                           bytes);
    optimizer.clip_gradients();
    optimizer.update(step, 1);
    for (std::size_t i = 0; i < shown.size(); ++i) {
      const Tensor& tensor = shown[i].value;
      const std::size_t size = static_cast<std::size_t>(tensor.elements()) * size_of(tensor.dtype);
      after[i].resize(after[i].size() + size);
      backend.copy_to_host(after[i].data() + after[i].size() - size, tensor.data, size);
    }
  }
  std::vector<TensorContents> tensors;
  for (std::size_t i = 0; i < shown.size(); ++i)
    tensors.push_back({shown[i].name, shown[i].value.dtype, {steps, shown[i].value.shape[0]}, after[i]});
  write_safetensors(arguments.output, tensors, {});
}

/// Writes the adapter that a plan starts from as a PEFT directory.
void write_initial_adapter(const fs::path& plan_path, const fs::path& output) {
  const Plan plan = read_plan(plan_path);
  const auto chosen = choose_backend(Device::cpu, 0);
  const auto model = make_model(plan, open_model(plan), *chosen.backend);
  fs::create_directories(output);
  write_adapter(output, *model, plan.adapter.value(), plan.model_path.string());
}

/// Reads an adapter and writes it again; with `fresh` as it would be before training.
void rewrite_adapter(const RewriteArguments& arguments) {
  const auto chosen = choose_backend(Device::cpu, 0);
  const HfModel files(arguments.model);
  const AdapterConfig adapter = read_adapter_config(arguments.adapter);
  Llama model(files.config(), {.adapter = adapter}, *chosen.backend);
  files.load_into(model);
  if (arguments.fresh) {
    model.initialize_adapter(1);
  } else {
    AdapterFile(arguments.adapter, model).load();
  }
  fs::create_directories(arguments.output);
  write_adapter(arguments.output, model, adapter, arguments.model.string());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Shows what the engine computes, for the oracle tests", "ziptie-engine-probe");
  app.require_subcommand(1);
  LogitsArguments logits;
  auto* logits_command = app.add_subcommand("logits", "Logits, loss and gradients of the rows of a shard");
  logits_command->add_option("--model", logits.model)->required();
  logits_command->add_option("--adapter", logits.adapter);
  logits_command->add_option("--shard", logits.shard)->required();
  logits_command->add_option("--output", logits.output)->required();
  logits_command->add_flag("--gradients", logits.gradients);
  const std::map<std::string, Recompute> recompute = {
      {"none", Recompute::none}, {"selective", Recompute::selective}, {"full", Recompute::full}};
  logits_command->add_option("--recompute", logits.recompute)->transform(CLI::CheckedTransformer(recompute));
  RewriteArguments rewrite;
  auto* rewrite_command = app.add_subcommand("rewrite-adapter", "An adapter, read and written");
  rewrite_command->add_option("--model", rewrite.model)->required();
  rewrite_command->add_option("--adapter", rewrite.adapter)->required();
  rewrite_command->add_option("--output", rewrite.output)->required();
  rewrite_command->add_flag("--fresh", rewrite.fresh);
  fs::path plan, output;
  auto* adapter_command = app.add_subcommand("initial-adapter", "The adapter that a plan starts from");
  adapter_command->add_option("--plan", plan)->required();
  adapter_command->add_option("--output", output)->required();
  OptimizerArguments optimizer;
  auto* optimizer_command = app.add_subcommand("optimizer", "Weights and optimizer state after each step");
  optimizer_command->add_option("--input", optimizer.input)->required();
  optimizer_command->add_option("--output", optimizer.output)->required();
  optimizer_command->add_option("--name", optimizer.name);
  optimizer_command->add_option("--learning-rate", optimizer.settings.learning_rate);
  optimizer_command->add_option("--beta1", optimizer.settings.beta1);
  optimizer_command->add_option("--beta2", optimizer.settings.beta2);
  optimizer_command->add_option("--epsilon", optimizer.settings.epsilon);
  optimizer_command->add_option("--weight-decay", optimizer.settings.weight_decay);
  CLI11_PARSE(app, argc, argv);
  try {
    if (*logits_command) write_logits(logits);
    if (*rewrite_command) rewrite_adapter(rewrite);
    if (*optimizer_command) write_optimizer_steps(optimizer);
    if (*adapter_command) write_initial_adapter(plan, output);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
