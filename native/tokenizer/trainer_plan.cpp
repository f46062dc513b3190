#include "tokenizer/trainer_plan.h"

#include <fmt/core.h>

#include <algorithm>

#include "engine/io/json_object.h"
#include "tokenizer/unicode.h"

namespace ziptie {
namespace {

constexpr std::int64_t last_code_point = 0x10FFFF;

std::filesystem::path absolute_path(JsonObject& json, std::string_view key) {
  const std::string path = json.string(key);
  if (!path.starts_with('/')) json.refuse(key, fmt::format("'{}' is not an absolute path", path));
  return path;
}

char32_t character(JsonObject& json, std::string_view key, const std::string& text) {
  std::size_t position = 0;
  const char32_t character = text.empty() ? 0 : next_code_point(text, position);
  if (text.empty() || position != text.size())
    json.refuse(key, fmt::format("expected one character, found '{}'", text));
  return character;
}

CharacterSet characters(JsonObject& json, std::string_view key) {
  std::vector<CharacterSet::Range> ranges;
  for (const nlohmann::json& range : json.array(key)) {
    const bool is_pair =
        range.is_array() && range.size() == 2 && range[0].is_number_integer() && range[1].is_number_integer();
    const auto first = is_pair ? range[0].get<std::int64_t>() : -1;
    const auto last = is_pair ? range[1].get<std::int64_t>() : -1;
    if (first < 0 || last < first || last > last_code_point)
      json.refuse(key, fmt::format("expected [first, last] code points, found {}", range.dump()));
    ranges.push_back({static_cast<char32_t>(first), static_cast<char32_t>(last)});
  }
  return CharacterSet(std::move(ranges));
}

CorpusFile read_dataset(JsonObject json) {
  CorpusFile file;
  file.path = absolute_path(json, "path");
  file.format = json.choice("format", {"text", "jsonl"}) == 0 ? CorpusFormat::text : CorpusFormat::jsonl;
  if (file.format == CorpusFormat::jsonl) file.field = json.string("field");
  json.refuse_other_keys();
  return file;
}

PreTokenizer read_pre_tokenizer(JsonObject json) {
  PreTokenizer pre_tokenizer;
  if (!json.is_null("replacement")) {
    pre_tokenizer.replacement = character(json, "replacement", json.string("replacement"));
    pre_tokenizer.prepend = json.choice("prepend_scheme", {"always", "never"}) == 0;
  }
  if (!json.is_null("characters")) pre_tokenizer.characters = characters(json, "characters");
  pre_tokenizer.isolated = characters(json, "isolated");
  json.refuse_other_keys();
  return pre_tokenizer;
}

BpeTrainerOptions read_trainer(JsonObject json) {
  BpeTrainerOptions options;
  options.vocab_size = static_cast<std::size_t>(json.integer("vocab_size", 1));
  options.min_frequency = static_cast<std::uint64_t>(json.integer("min_frequency", 0));
  options.special_tokens = json.strings("special_tokens");
  for (const std::string& text : json.strings("initial_alphabet"))
    options.initial_alphabet.push_back(character(json, "initial_alphabet", text));
  if (!json.is_null("limit_alphabet"))
    options.limit_alphabet = static_cast<std::size_t>(json.integer("limit_alphabet", 0));
  options.character_coverage = json.number("character_coverage");
  if (!(options.character_coverage > 0 && options.character_coverage <= 1))
    json.refuse("character_coverage",
                fmt::format("expected more than 0, at most 1, found {}", options.character_coverage));
  if (!json.is_null("max_token_length"))
    options.max_token_length = static_cast<std::size_t>(json.integer("max_token_length", 1));
  json.refuse_other_keys();
  return options;
}

}  // namespace

TrainerPlan parse_trainer_plan(const nlohmann::json& value, const std::string& source) {
  JsonObject json(value, source);
  if (const auto version = json.integer("version", 1); version != 1) {
    json.refuse(
        "version",
        fmt::format("this engine reads version 1, found {}; it and the editor are of different releases",
                    version));
  }
  TrainerPlan plan;
  const std::size_t datasets = json.array("dataset").size();
  if (datasets == 0) json.refuse("dataset", "name at least one file");
  for (std::size_t i = 0; i < datasets; ++i) plan.dataset.push_back(read_dataset(json.element("dataset", i)));
  plan.pre_tokenizer = read_pre_tokenizer(json.object("pre_tokenizer"));
  plan.trainer = read_trainer(json.object("trainer"));
  plan.max_word_bytes = static_cast<std::size_t>(json.integer("max_word_bytes", 1 << 20));
  if (!json.is_null("threads"))
    plan.threads = static_cast<int>(std::min<std::int64_t>(json.integer("threads", 1), 4096));
  plan.output = absolute_path(json, "output");
  json.refuse_other_keys();
  return plan;
}

TrainerPlan read_trainer_plan(const std::filesystem::path& path) {
  return parse_trainer_plan(read_json(path), path.string());
}

}  // namespace ziptie
