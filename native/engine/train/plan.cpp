#include "engine/train/plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "engine/train/plan_sections.h"

namespace ziptie {
namespace {

std::vector<std::filesystem::path> paths(JsonObject& json, std::string_view key) {
  std::vector<std::filesystem::path> paths;
  for (const std::string& path : json.strings(key)) paths.push_back(absolute_path(json, key, path));
  return paths;
}

std::int64_t count(JsonObject& json, std::string_view key, std::int64_t least, std::int64_t most) {
  const std::int64_t value = json.integer(key, least);
  if (value > most) json.refuse(key, fmt::format("expected at most {}, found {}", most, value));
  return value;
}

/// A whole number from 1 to `most`.
std::int64_t count(JsonObject& json, std::string_view key, std::int64_t most) {
  return count(json, key, 1, most);
}

/// Rows that were dropped when the shards were made, by reason.
RowCounts read_dropped(JsonObject json) {
  RowCounts dropped;
  // As many as a file of the largest size can hold, so that sums of them are int64.
  const auto rows = [&](std::string_view key) { return count(json, key, 0, std::int64_t{1} << 48); };
  dropped.too_long = rows("too_long");
  dropped.unsupervised = rows("unsupervised");
  dropped.broken = rows("broken");
  dropped.template_refused = rows("template");
  dropped.tokenizer_refused = rows("tokenizer");
  json.refuse_other_keys();
  return dropped;
}

std::optional<std::int64_t> count_or_null(JsonObject& json, std::string_view key) {
  if (json.is_null(key)) return std::nullopt;
  return json.integer(key, 1);
}

double weight(JsonObject& json) {
  // So that the rows of an epoch can be counted.
  constexpr double most = 1e6;
  const double value = positive_number(json, "weight");
  if (value > most) json.refuse("weight", fmt::format("expected at most {}, found {}", most, value));
  return value;
}

void read_data(JsonObject& json, Plan& plan) {
  const auto& data = json.array("data");
  if (data.empty()) json.refuse("data", "name at least one data set");
  for (std::size_t i = 0; i < data.size(); ++i) {
    JsonObject dataset = json.element("data", i);
    plan.data.push_back({paths(dataset, "shards"), weight(dataset), read_dropped(dataset.object("dropped"))});
    dataset.refuse_other_keys();
  }
  if (std::ranges::all_of(plan.data, [](const Plan::Data& each) { return each.shards.empty(); })) {
    json.refuse("data", "no data set has shards; name at least one file");
  }
  if (!json.is_null("evaluation")) {
    JsonObject evaluation = json.object("evaluation");
    plan.evaluation = {paths(evaluation, "shards"), evaluation.boolean("on_start"),
                       count_or_null(evaluation, "every_steps"), count(evaluation, "batch_size", 1 << 14),
                       read_dropped(evaluation.object("dropped"))};
    if (plan.evaluation->shards.empty()) evaluation.refuse("shards", "name at least one file");
    evaluation.refuse_other_keys();
  }
}

/// Token offsets in a batch are u32.
void check_batch(JsonObject& json, std::string_view key, std::string_view batch_size_key,
                 std::int64_t batch_size, std::int64_t max_length) {
  if (batch_size * max_length <= UINT32_MAX) return;
  json.refuse(key, fmt::format("{} sequences ({}) of {} tokens (batching.max_length) are {} tokens, a batch "
                               "holds at most {}; lower one of the two",
                               batch_size, batch_size_key, max_length, batch_size * max_length, UINT32_MAX));
}

OptimizerSettings read_optimizer(JsonObject json) {
  OptimizerSettings optimizer{};
  constexpr std::array names = {OptimizerName::adamw_torch, OptimizerName::adamw_8bit,
                                OptimizerName::paged_adamw_8bit};
  optimizer.name = names[json.choice("name", {"adamw_torch", "adamw_8bit", "paged_adamw_8bit"})];
  optimizer.learning_rate = positive_number(json, "learning_rate");
  if (!json.is_null("embedding_learning_rate")) {
    optimizer.embedding_learning_rate = positive_number(json, "embedding_learning_rate");
  }
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
  optimizer.epsilon = positive_number(json, "epsilon");
  optimizer.weight_decay = json.number("weight_decay");
  if (!(optimizer.weight_decay >= 0)) json.refuse("weight_decay", "expected 0 or more");
  if (!json.is_null("max_grad_norm")) optimizer.max_grad_norm = positive_number(json, "max_grad_norm");
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
  schedule.steps = count(json, "steps", std::int64_t{1} << 32);
  json.refuse_other_keys();
  return schedule;
}

Plan::Batching read_batching(JsonObject json) {
  Plan::Batching batching{};
  // Positions in the sequence of epochs, up to steps · sequences, are then int64.
  batching.per_device_train_batch_size = count(json, "per_device_train_batch_size", 1 << 14);
  batching.gradient_accumulation_steps = count(json, "gradient_accumulation_steps", 1 << 14);
  batching.max_length = count(json, "max_length", 1 << 24);
  check_batch(json, "max_length", "batching.per_device_train_batch_size",
              batching.per_device_train_batch_size, batching.max_length);
  batching.truncation = json.choice("truncation", {"cut", "drop"}) == 0 ? Truncation::cut : Truncation::drop;
  batching.shuffle = json.boolean("shuffle");
  batching.group_by_length = json.boolean("group_by_length");
  batching.packing = json.boolean("packing");
  json.refuse_other_keys();
  return batching;
}

void read_inputs(JsonObject json, Plan& plan) {
  for (const auto& [path, value] : json.json().items()) {
    const std::string hash = json.string(path);
    if (hash.size() != 64 || hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
      json.refuse(path, "expected a SHA-256 in 64 lower-case hexadecimal digits");
    }
    plan.inputs.emplace(absolute_path(json, path, path).string(), hash);
  }
}

}  // namespace

std::filesystem::path absolute_path(JsonObject& json, std::string_view key, const std::string& path) {
  if (!path.starts_with('/')) json.refuse(key, fmt::format("'{}' is not an absolute path", path));
  return path;
}

double positive_number(JsonObject& json, std::string_view key) {
  const double value = json.number(key);
  if (!(value > 0)) json.refuse(key, fmt::format("expected more than 0, found {}", value));
  return value;
}

double fraction(JsonObject& json, std::string_view key) {
  const double value = json.number(key);
  if (!(value >= 0 && value <= 1)) json.refuse(key, fmt::format("expected 0 to 1, found {}", value));
  return value;
}

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
  read_model_sections(json, plan);
  plan.tokenizer_files = paths(json, "tokenizer_files");
  read_data(json, plan);
  plan.optimizer = read_optimizer(json.object("optimizer"));
  plan.schedule = read_schedule(json.object("schedule"));
  plan.batching = read_batching(json.object("batching"));
  if (plan.evaluation) {
    check_batch(json, "evaluation", "evaluation.batch_size", plan.evaluation->batch_size,
                plan.batching.max_length);
  }
  JsonObject checkpointing = json.object("checkpointing");
  plan.save_steps = count_or_null(checkpointing, "save_steps");
  plan.save_total_limit = count_or_null(checkpointing, "save_total_limit");
  checkpointing.refuse_other_keys();
  plan.logging_steps = json.integer("logging_steps", 1);
  constexpr std::array devices = {Device::automatic, Device::cpu, Device::cuda};
  plan.device = devices[json.choice("device", {"auto", "cpu", "cuda"})];
  plan.threads = static_cast<int>(std::min<std::int64_t>(count_or_null(json, "threads").value_or(0), 4096));
  plan.seed = static_cast<std::uint64_t>(json.integer("seed", 0));
  plan.output = absolute_path(json, "output", json.string("output"));
  read_inputs(json.object("inputs"), plan);
  json.refuse_other_keys();
  plan.json = value;
  return plan;
}

Plan read_plan(const std::filesystem::path& path) { return parse_plan(read_json(path), path.string()); }

}  // namespace ziptie
