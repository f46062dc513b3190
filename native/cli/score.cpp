#include "engine/infer/score.h"

#include "cli/commands.h"
#include "cli/json_lines.h"
#include "cli/stop_request.h"
#include "engine/train/model_setup.h"

namespace ziptie {

int score_command(const ScoreOptions& options) {
  stop_on_signals();
  const NamedModel model(options.model);
  std::vector<nlohmann::json> ids;
  std::vector<ScoreRequest> requests;
  read_json_lines(options.requests, [&](JsonObject& json, const nlohmann::json& id) {
    requests.push_back({token_ids(json, "input_ids"), token_ids(json, "continuation_ids")});
    check_request(model.config(), requests.back());
    ids.push_back(id);
  });
  const auto chosen = choose_backend(Device::automatic, options.threads);
  auto loaded = model.load(*chosen.backend, stop_requested);
  if (!loaded) return 0;
  score(
      *loaded, requests, options.batch_tokens,
      [&](std::size_t request, const Score& result) {
        write_json_line({{"id", ids[request]},
                         {"log_likelihood", result.log_likelihood},
                         {"is_greedy", result.is_greedy},
                         {"truncated", result.truncated},
                         {"token_log_likelihoods", result.token_log_likelihoods}});
      },
      [] { return stop_requested(); });
  return 0;
}

}  // namespace ziptie
