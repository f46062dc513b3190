#include "engine/infer/generate.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "engine/io/hf_config.h"
#include "engine/io/hf_model.h"
#include "engine/io/json_object.h"
#include "engine/io/peft_adapter.h"
#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

struct Prompt {
  nlohmann::json id;
  std::vector<std::uint32_t> input_ids;
};

Prompt parse_prompt(const std::string& line, const std::string& source) {
  nlohmann::json value;
  try {
    value = nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception& error) {
    throw FileError(fmt::format("{}: {}", source, error.what()));
  }
  JsonObject json(value, source);
  Prompt prompt;
  if (!json.is_null("id")) prompt.id = value["id"];
  for (const auto& id : json.array("input_ids")) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > UINT32_MAX)
      json.refuse("input_ids", "expected token ids");
    prompt.input_ids.push_back(id.get<std::uint32_t>());
  }
  json.refuse_other_keys();
  return prompt;
}

Llama load_model(const GenerateOptions& options, Backend& backend) {
  const HfModel weights(options.model);
  std::optional<AdapterConfig> adapter;
  if (!options.adapter.empty()) adapter = read_adapter_config(options.adapter);
  Llama model(weights.config(), {.adapter = adapter, .train = false}, backend);
  weights.load_into(model);
  if (adapter) load_adapter(options.adapter, model);
  return model;
}

}  // namespace

int generate_command(const GenerateOptions& options) {
  std::ifstream prompts(options.prompts);
  if (!prompts) throw FileError(fmt::format("{}: cannot open", options.prompts.string()));
  const auto backend = make_cpu_backend(options.threads);
  Llama model = load_model(options, *backend);
  const auto stop_ids = options.stop_ids ? *options.stop_ids : read_stop_ids(options.model);

  std::int64_t line_number = 0;
  for (std::string line; std::getline(prompts, line);) {
    line_number += 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string source = fmt::format("{}:{}", options.prompts.string(), line_number);
    const Prompt prompt = parse_prompt(line, source);
    std::vector<std::uint32_t> output_ids;
    try {
      output_ids = generate_greedy(model, prompt.input_ids, options.max_new_tokens, stop_ids);
    } catch (const std::invalid_argument& error) {
      throw FileError(fmt::format("{}: {}", source, error.what()));
    }
    const std::int64_t room =
        model.config().max_position_embeddings - static_cast<std::int64_t>(prompt.input_ids.size());
    const bool full = static_cast<std::int64_t>(output_ids.size()) >= std::min(options.max_new_tokens, room);
    const nlohmann::ordered_json answer = {
        {"id", prompt.id}, {"output_ids", output_ids}, {"finish", full ? "length" : "stop"}};
    fmt::print("{}\n", answer.dump());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace ziptie
