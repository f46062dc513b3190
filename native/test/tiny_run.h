#pragma once
// A plan for a model so small that a step takes about a millisecond, and what a run left behind.

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "token_shard.h"

/// Rows whose tokens follow a pattern that a tiny model can learn.
inline std::vector<TokenRow> counting_rows(int count) {
  std::vector<TokenRow> rows;
  for (int i = 0; i < count; ++i) {
    TokenRow row;
    const int length = 6 + i % 9;
    for (int t = 0; t < length; ++t) {
      row.input_ids.push_back(static_cast<std::uint32_t>((i + 3 * t) % 32));
      row.loss_mask.push_back(t % 4 != 2);
    }
    rows.push_back(row);
  }
  return rows;
}

/// `dropped` of a plan whose shards have every row.
inline nlohmann::json none_dropped() {
  return {{"too_long", 0}, {"unsupervised", 0}, {"broken", 0}, {"template", 0}, {"tokenizer", 0}};
}

/// A plan that trains every weight of a random Llama on shards that it writes under `directory`; the run
/// directory is `directory/run`.
inline nlohmann::json tiny_plan(const std::filesystem::path& directory, int steps) {
  write_shard(directory / "train.safetensors", counting_rows(24));
  write_shard(directory / "evaluation.safetensors", counting_rows(5));
  return {{"version", 1},
          {"stage", "pretrain"},
          {"model",
           {{"architecture",
             {{"model_type", "llama"},
              {"hidden_size", 16},
              {"intermediate_size", 24},
              {"num_hidden_layers", 2},
              {"num_attention_heads", 4},
              {"num_key_value_heads", 2},
              {"head_dim", 4},
              {"vocab_size", 32},
              {"max_position_embeddings", 64},
              {"rms_norm_eps", 1e-5},
              {"rope_theta", 10000.0},
              {"rope_scaling", nullptr},
              {"attention_bias", false},
              {"tie_word_embeddings", true},
              {"initializer_range", 0.02},
              {"bos_token_id", 1},
              {"eos_token_id", 2}}},
            {"seed", 7}}},
          {"tokenizer_files", nlohmann::json::array()},
          {"data",
           {{{"shards", {(directory / "train.safetensors").string()}},
             {"weight", 1.0},
             {"dropped", none_dropped()}}}},
          {"evaluation",
           {{"shards", {(directory / "evaluation.safetensors").string()}},
            {"on_start", false},
            {"every_steps", 5},
            {"batch_size", 2},
            {"dropped", none_dropped()}}},
          {"adapter", nullptr},
          {"quantization", nullptr},
          {"frozen_dtype", "float32"},
          {"recompute", "none"},
          {"optimizer",
           {{"name", "adamw_torch"},
            {"learning_rate", 0.01},
            {"embedding_learning_rate", nullptr},
            {"betas", {0.9, 0.999}},
            {"epsilon", 1e-8},
            {"weight_decay", 0.1},
            {"max_grad_norm", 1.0}}},
          {"schedule", {{"name", "cosine"}, {"warmup_steps", 3}, {"min_lr_rate", 0.0}, {"steps", steps}}},
          {"batching",
           {{"per_device_train_batch_size", 3},
            {"gradient_accumulation_steps", 2},
            {"max_length", 12},
            {"truncation", "cut"},
            {"shuffle", true},
            {"group_by_length", false},
            {"packing", false}}},
          {"checkpointing", {{"save_steps", 4}, {"save_total_limit", 2}}},
          {"logging_steps", 1},
          {"device", "cpu"},
          {"threads", 1},
          {"seed", 42},
          {"output", (directory / "run").string()},
          {"inputs", nlohmann::json::object()}};
}

/// The complete lines of a run's events.jsonl.
inline std::vector<nlohmann::json> read_events(const std::filesystem::path& run) {
  std::vector<nlohmann::json> events;
  std::ifstream file(run / "events.jsonl");
  for (std::string line; std::getline(file, line) && !file.eof();) {
    auto event = nlohmann::json::parse(line, nullptr, false);
    if (event.is_object()) events.push_back(std::move(event));
  }
  return events;
}

inline std::vector<nlohmann::json> events_named(const std::filesystem::path& run, const std::string& name) {
  std::vector<nlohmann::json> named;
  for (auto& event : read_events(run)) {
    if (event["event"] == name) named.push_back(std::move(event));
  }
  return named;
}

inline std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
