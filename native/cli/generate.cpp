#include "engine/infer/generate.h"

#include "cli/commands.h"
#include "cli/json_lines.h"
#include "cli/model_argument.h"
#include "cli/stop_request.h"
#include "engine/io/hf_config.h"
#include "engine/train/model_setup.h"

namespace ziptie {

int generate_command(const GenerateOptions& options) {
  stop_on_signals();
  GenerationSettings settings = options.settings;
  TokenSampler(settings.sampling);  // refuses what cannot be
  settings.stop_ids = options.stop_ids ? *options.stop_ids : read_stop_ids(options.model);
  const LlamaConfig config = read_hf_config(options.model);
  // Before the weights, which may take minutes: a mistake in the last line is told at once.
  std::vector<nlohmann::json> ids;
  std::vector<std::vector<std::uint32_t>> prompts;
  read_json_lines(options.prompts, [&](JsonObject& json, const nlohmann::json& id) {
    prompts.push_back(token_ids(json, "input_ids"));
    check_prompt(config, prompts.back());
    ids.push_back(id);
  });
  const auto chosen = choose_backend(Device::automatic, options.threads);
  Llama model = load_model(options.model, options.adapter, *chosen.backend);

  GenerationEvents events;
  if (options.stream)
    events.token = [&](std::size_t prompt, std::uint32_t id) {
      write_json_line({{"id", ids[prompt]}, {"token", id}});
    };
  events.finished = [&](std::size_t prompt, std::span<const std::uint32_t> output, Finish finish) {
    write_json_line({{"id", ids[prompt]}, {"output_ids", output}, {"finish", finish_name(finish)}});
  };
  events.stop = [] { return stop_requested(); };
  generate(model, prompts, settings, events);
  return 0;
}

}  // namespace ziptie
