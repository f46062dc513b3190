#include "engine/infer/score.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "engine/infer/input_limits.h"

namespace ziptie {
namespace {

std::int64_t length(const ScoreRequest& request) {
  return static_cast<std::int64_t>(request.input_ids.size() + request.continuation_ids.size());
}

/// Texts laid end to end.
struct Texts {
  std::vector<std::uint32_t> input_ids;
  std::vector<std::uint8_t> mask;
  std::vector<std::uint32_t> offsets = {0};
  std::vector<std::size_t> requests;
  std::vector<std::int64_t> truncated;
};

void append(const ScoreRequest& request, std::size_t index, std::int64_t longest, Texts& texts) {
  const std::int64_t cut = std::max<std::int64_t>(0, length(request) - longest);
  texts.input_ids.insert(texts.input_ids.end(), request.input_ids.begin() + cut, request.input_ids.end());
  texts.mask.insert(texts.mask.end(), request.input_ids.size() - static_cast<std::size_t>(cut), 0);
  texts.input_ids.insert(texts.input_ids.end(), request.continuation_ids.begin(),
                         request.continuation_ids.end());
  texts.mask.insert(texts.mask.end(), request.continuation_ids.size(), 1);
  texts.offsets.push_back(static_cast<std::uint32_t>(texts.input_ids.size()));
  texts.requests.push_back(index);
  texts.truncated.push_back(cut);
}

}  // namespace

void check_request(const LlamaConfig& config, const ScoreRequest& request) {
  check_ids(config, request.input_ids, "input_ids");
  check_ids(config, request.continuation_ids, "continuation_ids");
  // At least one token of the context has to be left.
  if (static_cast<std::int64_t>(request.continuation_ids.size()) >= longest_text(config))
    throw std::invalid_argument("the continuation has " + std::to_string(request.continuation_ids.size()) +
                                " tokens, the model has " + std::to_string(longest_text(config)) +
                                " positions: no context is left");
}

void score(Llama& model, std::span<const ScoreRequest> requests, std::int64_t batch_tokens,
           const std::function<void(std::size_t, const Score&)>& scored, const std::function<bool()>& stop) {
  for (const ScoreRequest& request : requests) check_request(model.config(), request);
  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Longest first: what does not fit into memory shows at once.
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return length(requests[i]); });
  const std::int64_t longest = longest_text(model.config());
  const InterruptionPoint interruption = interrupted_by(stop);
  for (std::size_t next = 0; next < order.size();) {
    Texts texts;
    do append(requests[order[next]], order[next], longest, texts);
    while (++next < order.size() &&
           static_cast<std::int64_t>(texts.input_ids.size()) + length(requests[order[next]]) <= batch_tokens);
    std::vector<TokenLikelihood> likelihoods;
    try {
      likelihoods = model.likelihoods({texts.input_ids, texts.mask, texts.offsets}, interruption);
    } catch (const Interrupted&) {
      return;
    }
    auto token = likelihoods.begin();
    for (std::size_t i = 0; i < texts.requests.size(); ++i) {
      Score result;
      result.truncated = texts.truncated[i];
      for (const std::uint32_t id : requests[texts.requests[i]].continuation_ids) {
        if (std::isnan(token->log_likelihood))
          throw std::runtime_error(
              "the model's logits are not numbers; its weights have overflown or are damaged");
        result.log_likelihood += token->log_likelihood;
        result.is_greedy &= token->likeliest == id;
        result.token_log_likelihoods.push_back(token->log_likelihood);
        ++token;
      }
      scored(texts.requests[i], result);
    }
  }
}

}  // namespace ziptie
