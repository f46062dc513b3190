#include "tokenizer/train_tokenizer.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "engine/io/write_aside.h"
#include "tokenizer/count_words.h"

namespace ziptie {
namespace {

std::string json_of(const BpeModel& model) {
  nlohmann::json merges = nlohmann::json::array();
  for (const auto& [left, right] : model.merges) merges.push_back({left, right});
  // Line breaks for people and for diff.
  return fmt::format("{{\"vocab\":{},\n\"merges\":{}}}\n", nlohmann::json(model.vocabulary).dump(),
                     merges.dump());
}

}  // namespace

TrainedTokenizer train_tokenizer(const TrainerPlan& plan, const TrainerControl& control) {
  TrainedTokenizer trained;
  CountedWords counted =
      count_words(Corpus(plan.dataset), plan.pre_tokenizer, plan.max_word_bytes, plan.threads, control);
  trained.texts = counted.texts;
  trained.dropped = counted.dropped;
  for (const WordCounts& table : counted.tables) trained.words += table.size();
  const BpeModel model = train_bpe(counted.tables, plan.trainer, control);
  trained.vocabulary = model.vocabulary.size();
  trained.merges = model.merges.size();
  control.report("writing", 0, 1);
  if (control.stop()) throw Cancelled();
  write_file_aside(plan.output, json_of(model));
  return trained;
}

}  // namespace ziptie
