// How a corpus is cut into words and counted. What is then trained on them is compared with HF's trainer in
// test/oracle.

#include <doctest/doctest.h>

#include <fstream>

#include "refusal.h"
#include "temporary_directory.h"
#include "tokenizer/count_words.h"
#include "tokenizer/trainer_plan.h"

using namespace ziptie;

namespace {

std::vector<std::string> words_of(const PreTokenizer& pre_tokenizer, std::string_view text) {
  std::vector<std::string> words;
  std::string buffer;
  pre_tokenizer.words(text, buffer, [&](std::string_view word, std::uint64_t) { words.emplace_back(word); });
  return words;
}

using Words = std::vector<std::string>;
const CharacterSet han({{0x4E00, 0x9FFF}});
const CharacterSet digits({{U'0', U'9'}});

}  // namespace

TEST_CASE("without rules a text is one word") {
  CHECK(words_of({}, "one text 一") == Words{"one text 一"});
  CHECK(words_of({}, "").empty());
}

TEST_CASE("the space mark begins a word and the text") {
  PreTokenizer metaspace;
  metaspace.replacement = U'▁';
  metaspace.prepend = true;
  CHECK(words_of(metaspace, "two words") == Words{"▁two", "▁words"});
  CHECK(words_of(metaspace, " two  words ") == Words{"▁two", "▁", "▁words", "▁"});
  CHECK(words_of(metaspace, "▁marked") == Words{"▁marked"});
  metaspace.prepend = false;
  CHECK(words_of(metaspace, "two words") == Words{"two", "▁words"});
}

TEST_CASE("characters that are not asked for part words; a mark alone is none") {
  PreTokenizer script;
  script.replacement = U'▁';
  script.prepend = true;
  script.characters = han;
  CHECK(words_of(script, "物理AI模型 新的 a") == Words{"▁物理", "模型", "▁新的"});
}

TEST_CASE("isolated characters are words whatever the script") {
  PreTokenizer script;
  script.characters = han;
  script.isolated = digits;
  CHECK(words_of(script, "第12章x") == Words{"第", "1", "2", "章"});
}

TEST_CASE("a word without end is cut") {
  const auto words = words_of({}, std::string(2 * PreTokenizer::longest_word + 1, 'a'));
  REQUIRE(words.size() == 3);
  CHECK(words[0].size() == PreTokenizer::longest_word);
  CHECK(words[2] == "a");
}

TEST_CASE("what is not UTF-8 reads as the replacement character, byte by byte") {
  const auto read = [](std::string_view text) {
    std::u32string characters;
    for (std::size_t position = 0; position < text.size();) characters += next_code_point(text, position);
    return characters;
  };
  CHECK(read("a\xC3\xA9\xE4\xB8\x80\xF0\x9F\x98\x80") == U"aé一😀");
  CHECK(read("\xC0\xAF") == U"\uFFFD\uFFFD");                      // overlong
  CHECK(read("\xED\xA0\x80") == U"\uFFFD\uFFFD\uFFFD");            // surrogate
  CHECK(read("\xF4\x90\x80\x80") == U"\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond Unicode
  CHECK(read("\xE4\xB8") == U"\uFFFD\uFFFD");                      // cut off
  CHECK(read("\xE4z") == U"\uFFFDz");
}

TEST_CASE("the rarest words are dropped, the latest of equally rare ones first") {
  WordCounts counts;
  const auto add = [&](std::string_view word, std::uint64_t count) {
    counts.add(word, hash_of(word), count);
  };
  add("often", 5);
  add("rare1", 1);
  add("rare2", 1);
  add("some1", 2);
  const std::size_t all = counts.bytes();
  const auto dropped = counts.drop_rarest(all - 1);
  CHECK(dropped.words == 1);
  CHECK(dropped.occurrences == 1);
  REQUIRE(counts.size() == 3);
  CHECK(counts[1].text == "rare1");
  CHECK(counts[2].text == "some1");
  add("rare2", 1);
  CHECK(counts.bytes() == all);
  CHECK(counts.drop_rarest(all / 4).words == 3);
  CHECK(counts[0].text == "often");
  CHECK(counts.drop_rarest(0).occurrences == 5);
  CHECK(counts.size() == 0);
}

TEST_CASE("a word that comes back and is dropped again is dropped twice, each of its occurrences once") {
  WordCounts counts;
  const auto add = [&](std::string_view word, std::uint64_t count) {
    counts.add(word, hash_of(word), count);
  };
  add("often", 5);
  add("rare", 2);
  const std::size_t room = counts.bytes() - 1;
  auto dropped = counts.drop_rarest(room);
  add("rare", 1);
  const auto again = counts.drop_rarest(room);
  dropped.words += again.words;
  dropped.occurrences += again.occurrences;
  CHECK(dropped.words == 2);
  CHECK(dropped.occurrences == 3);
  REQUIRE(counts.size() == 1);
  CHECK(counts[0].count + dropped.occurrences == 8);
}

TEST_CASE("files are cut into chunks at line ends, whatever they hold") {
  const TemporaryDirectory directory;
  const auto path = directory / "corpus.txt";
  {
    std::ofstream file(path, std::ios::binary);
    file << "\xEF\xBB\xBF";
    for (int line = 0; line < 300'000; ++line)
      file << "line " << line % 1000 << (line % 2 == 0 ? "\n" : "\r\n");
    file << "\n\nno newline";
  }
  const Corpus corpus({{path, CorpusFormat::text, ""}});
  CHECK(corpus.chunks() > 2);
  std::size_t texts = 0;
  std::string first, last;
  for (std::size_t chunk = 0; chunk < corpus.chunks(); ++chunk) {
    corpus.read(chunk, [&](std::string_view text) {
      if (texts++ == 0) first = text;
      last = text;
    });
  }
  CHECK(texts == 300'001);
  CHECK(first == "line 0");
  CHECK(last == "no newline");
}

TEST_CASE("a corpus that is cut short while it is read is an error that names it") {
  const TemporaryDirectory directory;
  const auto path = directory / "corpus.txt";
  std::ofstream(path) << std::string(3 << 20, '\n');
  const Corpus corpus({{path, CorpusFormat::text, ""}});
  std::filesystem::resize_file(path, 1 << 20);
  CHECK(refusal([&] {
          for (std::size_t chunk = 0; chunk < corpus.chunks(); ++chunk)
            corpus.read(chunk, [](std::string_view) {});
        }).starts_with(path.string() + ": the file has been cut short"));
}

TEST_CASE("a row without the field is named by file and line") {
  const TemporaryDirectory directory;
  const auto path = directory / "corpus.jsonl";
  {
    std::ofstream file(path);
    for (int line = 0; line < 99'999; ++line) file << "{\"text\": \"a row like any other\"}\n";
    file << "{\"Text\": \"\"}\n";
  }
  const Corpus corpus({{path, CorpusFormat::jsonl, "text"}});
  CHECK(refusal([&] {
          for (std::size_t chunk = 0; chunk < corpus.chunks(); ++chunk)
            corpus.read(chunk, [](std::string_view) {});
        }) == path.string() + ":100000: the row has no text \"text\"");
}

TEST_CASE("a plan is refused with the key that is wrong") {
  const auto plan = [](const char* change) {
    auto json = nlohmann::json::parse(R"({"version": 1, "dataset": [{"path": "/a", "format": "text"}],
      "pre_tokenizer": {"replacement": "▁", "prepend_scheme": "always", "characters": null, "isolated": []},
      "trainer": {"vocab_size": 9, "min_frequency": 0, "special_tokens": [], "initial_alphabet": [],
                  "limit_alphabet": null, "character_coverage": 1, "max_token_length": null},
      "max_word_bytes": 1048576, "threads": null, "output": "/b"})");
    json.merge_patch(nlohmann::json::parse(change));
    return refusal([&] { parse_trainer_plan(json, "plan"); });
  };
  CHECK(plan("{}") == "");
  CHECK(plan(R"({"dataset": []})") == "plan: dataset: name at least one file");
  CHECK(plan(R"({"output": "b"})") == "plan: output: 'b' is not an absolute path");
  CHECK(plan(R"({"trainer": {"character_coverage": 0}})").find("trainer.character_coverage") !=
        std::string::npos);
  CHECK(plan(R"({"pre_tokenizer": {"replacement": "ab"}})").find("expected one character") !=
        std::string::npos);
  CHECK(plan(R"({"pre_tokenizer": {"isolated": [[5, 1114112]]}})").find("pre_tokenizer.isolated") !=
        std::string::npos);
  CHECK(plan(R"({"surprise": 1})").find("surprise") != std::string::npos);
}
