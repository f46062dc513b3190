#include "engine/train/plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "engine/io/hf_config.h"
#include "engine/io/json_object.h"

namespace ziptie {
namespace {

std::filesystem::path absolute(JsonObject& json, std::string_view key, const std::string& path) {
  if (!path.starts_with('/')) json.refuse(key, fmt::format("'{}' is not an absolute path", path));
  return path;
}

std::vector<std::filesystem::path> paths(JsonObject& json, std::string_view key) {
  std::vector<std::filesystem::path> paths;
  for (const std::string& path : json.strings(key)) paths.push_back(absolute(json, key, path));
  return paths;
}

std::vector<std::filesystem::path> shards(JsonObject& json) {
  auto shards = paths(json, "shards");
  if (shards.empty()) json.refuse("shards", "name at least one file");
  return shards;
}

double positive(JsonObject& json, std::string_view key) {
  const double value = json.number(key);
  if (!(value > 0)) json.refuse(key, fmt::format("expected more than 0, found {}", value));
  return value;
}

double fraction(JsonObject& json, std::string_view key) {
  const double value = json.number(key);
  if (!(value >= 0 && value <= 1)) json.refuse(key, fmt::format("expected 0 to 1, found {}", value));
  return value;
}

std::optional<std::int64_t> count_or_null(JsonObject& json, std::string_view key) {
  if (json.is_null(key)) return std::nullopt;
  return json.integer(key, 1);
}

LlamaConfig architecture(JsonObject json) {
  LlamaConfig config;
  json.choice("model_type", {"llama"});
  config.hidden_size = json.integer("hidden_size", 1);
  config.intermediate_size = json.integer("intermediate_size", 1);
  config.num_hidden_layers = json.integer("num_hidden_layers", 1);
  config.num_attention_heads = json.integer("num_attention_heads", 1);
  config.num_key_value_heads = json.integer("num_key_value_heads", 1);
  config.vocab_size = json.integer("vocab_size", 1);
  config.max_position_embeddings = json.integer("max_position_embeddings", 1);
  config.rms_norm_eps = positive(json, "rms_norm_eps");
  config.rope_theta = positive(json, "rope_theta");
  config.tie_word_embeddings = json.boolean("tie_word_embeddings");
  config.initializer_range = positive(json, "initializer_range");
  const auto token = [&](const char* key) -> std::optional<std::int64_t> {
    if (json.is_null(key)) return std::nullopt;
    return json.integer(key, 0);
  };
  config.bos_token_id = token("bos_token_id");
  config.eos_token_id = token("eos_token_id");
  json.refuse_other_keys();
  if (config.hidden_size % config.num_attention_heads != 0) {
    json.refuse("num_attention_heads", fmt::format("{} does not divide hidden_size, {}",
                                                   config.num_attention_heads, config.hidden_size));
  }
  config.head_dim = config.hidden_size / config.num_attention_heads;
  try {
    check_config(config);
  } catch (const std::invalid_argument& error) {
    const std::string what = error.what();  // `KEY: WHAT`
    const auto colon = what.find(": ");
    json.refuse(what.substr(0, colon), what.substr(colon + 2));
  }
  return config;
}

void read_model(JsonObject json, Plan& plan) {
  if (json.has("path")) {
    plan.model_path = absolute(json, "path", json.string("path"));
  } else {
    plan.architecture = architecture(json.object("architecture"));
    plan.model_seed = static_cast<std::uint64_t>(json.integer("seed", 0));
  }
  json.refuse_other_keys();
}

void read_data(JsonObject& json, Plan& plan) {
  const auto& data = json.array("data");
  if (data.empty()) json.refuse("data", "name at least one data set");
  for (std::size_t i = 0; i < data.size(); ++i) {
    JsonObject dataset = json.element("data", i);
    plan.data.push_back({shards(dataset), positive(dataset, "weight")});
    dataset.refuse_other_keys();
  }
  if (!json.is_null("evaluation")) {
    JsonObject evaluation = json.object("evaluation");
    plan.evaluation = {shards(evaluation), count_or_null(evaluation, "every_steps"),
                       evaluation.integer("batch_size", 1)};
    evaluation.refuse_other_keys();
  }
}

AdapterConfig read_adapter(JsonObject json) {
  AdapterConfig adapter;
  adapter.r = json.integer("r", 1);
  adapter.alpha = positive(json, "alpha");
  adapter.dropout = fraction(json, "dropout");
  adapter.use_rslora = json.boolean("use_rslora");
  adapter.target_modules = json.strings("target_modules");
  if (adapter.target_modules.empty()) json.refuse("target_modules", "name at least one module");
  json.refuse_other_keys();
  return adapter;
}

Plan::Optimizer read_optimizer(JsonObject json) {
  Plan::Optimizer optimizer{};
  json.choice("name", {"adamw_torch"});
  optimizer.learning_rate = positive(json, "learning_rate");
  const auto& betas = json.array("betas");
  if (betas.size() != 2) json.refuse("betas", "expected two numbers");
  for (std::size_t i = 0; i < 2; ++i) {
    // At 1 the moments would never move and their bias correction divide by zero.
    if (!betas[i].is_number() || !(betas[i].get<double>() >= 0 && betas[i].get<double>() < 1)) {
      json.refuse(fmt::format("betas[{}]", i),
                  fmt::format("expected 0 to below 1, found {}", betas[i].dump()));
    }
    (i == 0 ? optimizer.beta1 : optimizer.beta2) = betas[i].get<double>();
  }
  optimizer.epsilon = positive(json, "epsilon");
  optimizer.weight_decay = json.number("weight_decay");
  if (!(optimizer.weight_decay >= 0)) json.refuse("weight_decay", "expected 0 or more");
  if (!json.is_null("max_grad_norm")) optimizer.max_grad_norm = positive(json, "max_grad_norm");
  json.refuse_other_keys();
  return optimizer;
}

Schedule read_schedule(JsonObject json) {
  Schedule schedule;
  constexpr std::array names = {ScheduleName::constant, ScheduleName::constant_with_warmup,
                                ScheduleName::linear, ScheduleName::cosine, ScheduleName::cosine_with_min_lr};
  schedule.name = names[json.choice(
      "name", {"constant", "constant_with_warmup", "linear", "cosine", "cosine_with_min_lr"})];
  schedule.warmup_steps = json.integer("warmup_steps", 0);
  schedule.min_lr_rate = fraction(json, "min_lr_rate");
  schedule.steps = json.integer("steps", 1);
  json.refuse_other_keys();
  return schedule;
}

void read_batching(JsonObject json, Plan& plan) {
  plan.per_device_train_batch_size = json.integer("per_device_train_batch_size", 1);
  plan.gradient_accumulation_steps = json.integer("gradient_accumulation_steps", 1);
  plan.max_length = json.integer("max_length", 1);
  plan.truncation = json.choice("truncation", {"cut", "drop"}) == 0 ? Truncation::cut : Truncation::drop;
  plan.shuffle = json.boolean("shuffle");
  json.refuse_other_keys();
}

void read_inputs(JsonObject json, Plan& plan) {
  for (const auto& [path, value] : json.json().items()) {
    const std::string hash = json.string(path);
    if (hash.size() != 64 || hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
      json.refuse(path, "expected a SHA-256 in 64 lower-case hexadecimal digits");
    }
    plan.inputs.emplace(absolute(json, path, path).string(), hash);
  }
}

}  // namespace

Plan parse_plan(const nlohmann::json& value, const std::string& source) {
  JsonObject json(value, source);
  if (const auto version = json.integer("version", 1); version != 1) {
    json.refuse(
        "version",
        fmt::format("this engine reads version 1, found {}; it and the editor are of different releases",
                    version));
  }
  Plan plan;
  json.choice("stage", {"pretrain", "sft"});
  read_model(json.object("model"), plan);
  plan.tokenizer_files = paths(json, "tokenizer_files");
  read_data(json, plan);
  if (!json.is_null("adapter")) plan.adapter = read_adapter(json.object("adapter"));
  if (!json.is_null("quantization"))
    json.refuse("quantization", "this engine does not quantise; it must be null");
  plan.optimizer = read_optimizer(json.object("optimizer"));
  plan.schedule = read_schedule(json.object("schedule"));
  read_batching(json.object("batching"), plan);
  JsonObject checkpointing = json.object("checkpointing");
  plan.save_steps = count_or_null(checkpointing, "save_steps");
  plan.save_total_limit = count_or_null(checkpointing, "save_total_limit");
  checkpointing.refuse_other_keys();
  plan.logging_steps = json.integer("logging_steps", 1);
  constexpr std::array devices = {Device::automatic, Device::cpu, Device::cuda};
  plan.device = devices[json.choice("device", {"auto", "cpu", "cuda"})];
  plan.threads = static_cast<int>(std::min<std::int64_t>(count_or_null(json, "threads").value_or(0), 4096));
  plan.seed = static_cast<std::uint64_t>(json.integer("seed", 0));
  plan.output = absolute(json, "output", json.string("output"));
  read_inputs(json.object("inputs"), plan);
  json.refuse_other_keys();
  plan.json = value;
  return plan;
}

Plan read_plan(const std::filesystem::path& path) { return parse_plan(read_json(path), path.string()); }

std::vector<std::string> plan_differences(const nlohmann::json& before, const nlohmann::json& now) {
  static const std::set<std::string> harmless = {
      "logging_steps", "checkpointing", "evaluation", "threads", "device", "output", "tokenizer_files"};
  std::vector<std::string> differences;
  const auto compare = [&](const auto& self, const std::string& path, const nlohmann::json& a,
                           const nlohmann::json& b) -> void {
    if (a == b) return;
    if (!a.is_object() || !b.is_object()) {
      differences.push_back(fmt::format("{} was {}, now {}", path, a.dump(), b.dump()));
      return;
    }
    std::set<std::string> keys;
    for (const auto& [key, value] : a.items()) keys.insert(key);
    for (const auto& [key, value] : b.items()) keys.insert(key);
    for (const std::string& key : keys) {
      if (path.empty() && harmless.contains(key)) continue;
      self(self, path.empty() ? key : path + "." + key, a.contains(key) ? a.at(key) : nlohmann::json(),
           b.contains(key) ? b.at(key) : nlohmann::json());
    }
  };
  compare(compare, "", before, now);
  return differences;
}

}  // namespace ziptie
