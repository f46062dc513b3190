#include "engine/infer/generate.h"

#include "cli/commands.h"
#include "cli/json_lines.h"
#include "cli/stop_request.h"
#include "engine/train/model_setup.h"

namespace ziptie {

int generate_command(const GenerateOptions& options) {
  stop_on_signals();
  const NamedModel model(options.model);
  GenerationSettings settings = options.settings;
  TokenSampler(settings.sampling);  // refuses what cannot be
  settings.stop_ids = options.stop_ids ? *options.stop_ids : model.stop_ids();
  // Before the weights, which may take minutes: a mistake in the last line is told at once.
  std::vector<nlohmann::json> ids;
  std::vector<std::vector<std::uint32_t>> prompts;
  read_json_lines(options.prompts, [&](JsonObject& json, const nlohmann::json& id) {
    prompts.push_back(token_ids(json, "input_ids"));
    check_prompt(model.config(), prompts.back());
    ids.push_back(id);
  });
  const auto chosen = choose_backend(Device::automatic, options.threads);
  auto loaded = model.load(*chosen.backend, stop_requested);
  if (!loaded) return 0;

  GenerationEvents events;
  if (options.stream)
    events.token = [&](std::size_t prompt, std::uint32_t id) {
      write_json_line({{"id", ids[prompt]}, {"token", id}});
    };
  events.finished = [&](std::size_t prompt, std::span<const std::uint32_t> output, Finish finish) {
    write_json_line({{"id", ids[prompt]}, {"output_ids", output}, {"finish", finish_name(finish)}});
  };
  events.stop = [] { return stop_requested(); };
  generate(*loaded, prompts, settings, events);
  return 0;
}

}  // namespace ziptie
