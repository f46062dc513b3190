// Generation and scoring: what they give, and on what it does not depend.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "engine/infer/generate.h"
#include "engine/infer/score.h"

using namespace ziptie;

namespace {

using Ids = std::vector<std::uint32_t>;

constexpr std::uint32_t vocab = 517;

struct Fixture {
  std::unique_ptr<Backend> backend;
  Llama model;

  explicit Fixture(int threads = 2)
      : backend(make_cpu_backend(threads)), model(config(), {.train = false}, *backend) {
    model.initialize_base(1);
  }
  static LlamaConfig config() {
    LlamaConfig config;
    config.hidden_size = 72, config.intermediate_size = 172, config.num_hidden_layers = 2;
    config.num_attention_heads = 6, config.num_key_value_heads = 2, config.head_dim = 12;
    config.vocab_size = vocab, config.max_position_embeddings = 96, config.initializer_range = 0.3;
    return config;
  }

  struct Answer {
    Ids ids;
    Finish finish;
    bool operator==(const Answer&) const = default;
  };
  std::map<std::size_t, Answer> answers(const std::vector<Ids>& prompts, const GenerationSettings& settings,
                                        std::map<std::size_t, Ids>* streamed = nullptr) {
    std::map<std::size_t, Answer> all;
    GenerationEvents events;
    if (streamed)
      events.token = [&](std::size_t prompt, std::uint32_t id) { (*streamed)[prompt].push_back(id); };
    events.finished = [&](std::size_t prompt, std::span<const std::uint32_t> ids, Finish finish) {
      CHECK(all.emplace(prompt, Answer{Ids(ids.begin(), ids.end()), finish}).second);
    };
    generate(model, prompts, settings, events);
    return all;
  }
  /// Of the token after `ids`.
  std::vector<float> last_logits(const Ids& ids) {
    const std::vector<std::uint8_t> mask(ids.size(), 0);
    const std::uint32_t offsets[] = {0, static_cast<std::uint32_t>(ids.size())};
    const std::vector<float> logits = model.logits({ids, mask, offsets});
    return {logits.end() - vocab, logits.end()};
  }
};

Ids random_ids(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Ids ids(count);
  for (auto& id : ids) id = std::uniform_int_distribution<std::uint32_t>(0, vocab - 1)(random);
  return ids;
}

std::vector<Ids> prompts_of(std::initializer_list<std::size_t> lengths) {
  std::vector<Ids> prompts;
  for (const std::size_t length : lengths) prompts.push_back(random_ids(length, length));
  return prompts;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "Greedy generation takes the likeliest token until a stop or the limit") {
  const std::vector<Ids> prompts = prompts_of({12});
  const auto generated = answers(prompts, {.max_new_tokens = 8})[0];
  REQUIRE(generated.ids.size() == 8);
  CHECK(generated.finish == Finish::length);
  Ids sequence = prompts[0];
  for (const std::uint32_t next : generated.ids) {
    const auto logits = last_logits(sequence);
    CHECK(std::ranges::max_element(logits) - logits.begin() == next);
    sequence.push_back(next);
  }
  const auto stopped = answers(prompts, {.max_new_tokens = 8, .stop_ids = {generated.ids[2]}})[0];
  CHECK(stopped.ids == Ids(generated.ids.begin(), std::ranges::find(generated.ids, generated.ids[2])));
  CHECK(stopped.finish == Finish::stop);
  // As long as the model has positions.
  CHECK(answers(prompts, {.max_new_tokens = 10000})[0].ids.size() == 96 - 12);
}

// Logits may differ in their last bits from batch to batch; the seeds are such that no choice is that close.
TEST_CASE("An answer depends neither on the batch it is in nor on the number of threads") {
  const std::vector<Ids> prompts = prompts_of({1, 60, 5, 33, 2, 95, 17});
  for (const double temperature : {0.0, 1.3}) {
    const GenerationSettings alone{
        .max_new_tokens = 20, .stop_ids = {3, 4, 5}, .sampling = {temperature, 0, 0.95, 7}, .batch_size = 1};
    Fixture one(1);
    const auto expected = one.answers(prompts, alone);
    REQUIRE(expected.size() == prompts.size());
    for (const std::int64_t batch : {2, 3, 7, 100})
      for (const int threads : {1, 2}) {
        GenerationSettings settings = alone;
        settings.batch_size = batch;
        CHECK(Fixture(threads).answers(prompts, settings) == expected);
      }
  }
}

TEST_CASE_FIXTURE(Fixture, "Streamed tokens are the answer's, and another seed draws others") {
  const std::vector<Ids> prompts = prompts_of({4, 9});
  GenerationSettings settings{.max_new_tokens = 12, .sampling = {1.0, 0, 1.0, 1}};
  std::map<std::size_t, Ids> streamed;
  const auto all = answers(prompts, settings, &streamed);
  for (const auto& [prompt, answer] : all) CHECK(streamed[prompt] == answer.ids);
  settings.sampling.seed = 2;
  CHECK(answers(prompts, settings) != all);
}

TEST_CASE_FIXTURE(Fixture, "Asked to stop, generation hands over what it has and begins nothing more") {
  const std::vector<Ids> prompts = prompts_of({4, 9, 3});
  const GenerationSettings settings{.max_new_tokens = 50, .batch_size = 2};
  int tokens = 0;
  std::map<std::size_t, Ids> answered;
  generate(model, prompts, settings,
           {.token = [&](std::size_t, std::uint32_t) { ++tokens; },
            .finished =
                [&](std::size_t prompt, std::span<const std::uint32_t> ids, Finish finish) {
                  CHECK(finish == Finish::interrupted);
                  answered[prompt] = Ids(ids.begin(), ids.end());
                },
            .stop = [&] { return tokens == 2 * 5; }});
  CHECK(answered.size() == 2);
  CHECK(answered[0].size() == 5);
  CHECK(answered[1].size() == 5);
}

TEST_CASE_FIXTURE(Fixture, "Generation stops within a step, at whatever moment it is asked to") {
  const std::vector<Ids> prompts = prompts_of({4, 9});
  const GenerationSettings settings{.max_new_tokens = 3};
  auto whole = answers(prompts, settings);
  constexpr int asked_in_a_step = 2 * 5;  // before each layer's four matrix products and its attention
  for (int questions = 0; questions <= 3 * asked_in_a_step; ++questions) {
    CAPTURE(questions);
    int left = questions;
    std::map<std::size_t, Answer> answered;
    generate(model, prompts, settings,
             {.finished =
                  [&](std::size_t prompt, std::span<const std::uint32_t> ids, Finish finish) {
                    answered[prompt] = {Ids(ids.begin(), ids.end()), finish};
                  },
              .stop = [&] { return left-- == 0; }});
    const auto steps = std::min<std::size_t>(3, questions / asked_in_a_step);
    for (auto& [prompt, answer] : whole)
      CHECK(answered[prompt] == Answer{Ids(answer.ids.begin(), answer.ids.begin() + steps),
                                       steps == 3 ? Finish::length : Finish::interrupted});
  }
}

TEST_CASE_FIXTURE(Fixture, "Prompts and settings that cannot be are refused before anything is generated") {
  const auto refused = [&](std::vector<Ids> prompts, const GenerationSettings& settings) {
    CHECK_THROWS_AS(generate(model, prompts, settings, {.finished = [](auto...) { FAIL("generated"); }}),
                    std::invalid_argument);
  };
  refused({{1}, {}}, {});
  refused({{1}, Ids(96, 1)}, {});
  refused({{1}, {vocab}}, {});
  refused({{1}}, {.batch_size = 0});
  refused({{1}}, {.sampling = {.temperature = -1}});
  refused({{1}}, {.sampling = {.temperature = std::numeric_limits<double>::quiet_NaN()}});
  refused({{1}}, {.sampling = {.temperature = 1, .top_p = 0}});
  refused({{1}}, {.sampling = {.temperature = 1, .top_k = -1}});
}

TEST_CASE("Tokens are drawn as often as temperature, top-k and top-p say") {
  const std::vector<float> logits{1.0F, 0.5F, 2.0F, -1.0F, 0.5F};
  struct Case {
    Sampling sampling;
    std::vector<std::size_t> kept;  // what transformers' warpers leave
  };
  for (const Case& each : std::vector<Case>{{{1.0, 0, 1.0, 5}, {0, 1, 2, 3, 4}},
                                            {{0.5, 3, 1.0, 5}, {2, 0, 1}},
                                            {{1.0, 0, 0.5, 5}, {2}},
                                            {{2.0, 0, 0.6, 5}, {2, 0, 1}},
                                            {{1.0, 0, 0.8, 5}, {2, 0, 1}}}) {
    double total = 0;
    for (const std::size_t id : each.kept) total += std::exp(logits[id] / each.sampling.temperature);
    std::vector<int> counts(logits.size());
    TokenSampler sampler(each.sampling);
    constexpr int draws = 40000;
    for (int i = 0; i < draws; ++i) ++counts[sampler.choose(logits, i % 7, i)];
    for (std::size_t id = 0; id < logits.size(); ++id) {
      const bool kept = std::ranges::find(each.kept, id) != each.kept.end();
      const double expected = kept ? std::exp(logits[id] / each.sampling.temperature) / total : 0;
      // Five standard deviations of a binomial; the seed is fixed.
      CHECK(std::abs(counts[id] / double{draws} - expected) <=
            5 * std::sqrt(expected * (1 - expected) / draws));
    }
  }
  TokenSampler greedy({});
  CHECK(greedy.choose(std::vector<float>{1, 3, 3}, 0, 0) == 1);
  CHECK_THROWS_AS(greedy.choose(std::vector<float>{1, std::nanf("")}, 0, 0), std::runtime_error);
}

TEST_CASE_FIXTURE(Fixture, "A score is the sum of the log-probabilities of the continuation's tokens") {
  const auto greedy = answers(prompts_of({10}), {.max_new_tokens = 4})[0].ids;
  const std::vector<ScoreRequest> requests{{random_ids(10, 10), greedy},
                                           {random_ids(7, 1), random_ids(5, 2)},
                                           {random_ids(1, 3), random_ids(1, 4)},
                                           {random_ids(100, 5), random_ids(12, 6)}};
  const auto score_all = [&](std::int64_t batch_tokens) {
    std::map<std::size_t, Score> scores;
    score(
        model, requests, batch_tokens, [&](std::size_t i, const Score& result) { scores[i] = result; },
        [] { return false; });
    REQUIRE(scores.size() == requests.size());
    return scores;
  };
  auto scores = score_all(4096);
  CHECK(scores[0].is_greedy);
  CHECK(!scores[1].is_greedy);
  CHECK(scores[0].truncated == 0);
  CHECK(scores[3].truncated == 100 + 12 - 96);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Ids sequence(requests[i].input_ids.begin() + scores[i].truncated, requests[i].input_ids.end());
    double sum = 0;
    for (std::size_t t = 0; t < requests[i].continuation_ids.size(); ++t) {
      const auto logits = last_logits(sequence);
      double total = 0;
      for (const float logit : logits) total += std::exp(double{logit});
      const std::uint32_t id = requests[i].continuation_ids[t];
      const double expected = logits[id] - std::log(total);
      CHECK(std::abs(scores[i].token_log_likelihoods.at(t) - expected) < 1e-4);
      sum += scores[i].token_log_likelihoods[t];
      sequence.push_back(id);
    }
    CHECK(scores[i].log_likelihood == sum);
  }
  for (const std::int64_t batch_tokens : {1, 20})
    for (auto& [i, result] : score_all(batch_tokens))
      CHECK(std::abs(result.log_likelihood - scores[i].log_likelihood) < 1e-4);
  // Stopped within the second batch, it gives the first one's.
  for (const int questions : {2 * 5 + 1, 2 * 5 + 5, 2 * (2 * 5 + 1) - 1}) {
    CAPTURE(questions);
    int left = questions;
    std::map<std::size_t, Score> first;
    score(
        model, requests, 1, [&](std::size_t i, const Score& result) { first[i] = result; },
        [&] { return left-- == 0; });
    REQUIRE(first.size() == 1);
    CHECK(first.contains(3));  // the longest
  }
  CHECK_THROWS_AS(check_request(model.config(), {{}, {1}}), std::invalid_argument);
  CHECK_THROWS_AS(check_request(model.config(), {{1}, {}}), std::invalid_argument);
  CHECK_THROWS_AS(check_request(model.config(), {{1}, Ids(96, 1)}), std::invalid_argument);
  CHECK_THROWS_AS(check_request(model.config(), {{1}, {vocab}}), std::invalid_argument);
}
