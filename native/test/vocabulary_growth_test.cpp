#include "engine/io/vocabulary_growth.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/io/hf_model.h"
#include "engine/io/hf_model_writer.h"
#include "engine/io/tensor_transfer.h"
#include "refusal.h"
#include "temporary_directory.h"

using namespace ziptie;
using nlohmann::json;

namespace {

/// Four tokens of width 3.
const std::vector<float> old_rows = {1, 2, 3, 10, 20, 30, -1, -2, -3, 0.5F, 0.25F, 0.125F};

struct Fixture {
  TemporaryDirectory directory;

  VocabularyGrowth zip_tie(const json& map, std::int64_t size = 6) {
    std::ofstream(directory / "map.json") << map;
    return {size, RowInitialization::zip_tie, directory / "map.json", 0};
  }
  std::string map_refusal(const json& map) {
    const auto growth = zip_tie(map);
    return refusal([&] { NewRows(growth, 4, 0.02); });
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "Zip-tied rows are the weighted sums that the map asks for, whatever they add up to") {
  const NewRows rows(zip_tie({{"4", {{0, 0.5}, {1, 0.5}}}, {"5", {{2, 2.0}, {3, 4.0}, {2, 1.0}}}}), 4, 0.02);
  CHECK(rows.of("w", old_rows, 3) == std::vector<float>{5.5, 11, 16.5, -1, -5, -8.5});
}

TEST_CASE("Mean rows are the mean of all old rows") {
  const NewRows rows({6, RowInitialization::mean, {}, 0}, 4, 0.02);
  const std::vector<float> mean = {10.5F / 4, 20.25F / 4, 30.125F / 4};
  CHECK(rows.of("w", old_rows, 3) ==
        std::vector<float>{mean[0], mean[1], mean[2], mean[0], mean[1], mean[2]});
}

TEST_CASE_FIXTURE(Fixture, "New tokens take the rows that no token of the base uses before there are more") {
  // Of four rows two are tokens'.
  for (const std::int64_t size : {3, 4, 6}) {
    CAPTURE(size);
    json map;
    for (std::int64_t id = 2; id < size; ++id) map[std::to_string(id)] = {{1, 0.5}};
    VocabularyGrowth growth = zip_tie(map, size);
    growth.base_size = 2;
    const NewRows rows(growth, 4, 0.02);
    CHECK(rows.base_size() == 2);
    CHECK(rows.count() == size - 2);
    CHECK(rows.rows_afterwards() == std::max<std::int64_t>(4, size));
    std::vector<float> expected;
    for (std::int64_t i = 2; i < size; ++i) expected.insert(expected.end(), {5, 10, 15});
    CHECK(rows.of("w", old_rows, 3) == expected);
  }
  const NewRows mean({3, RowInitialization::mean, {}, 0, 2}, 4, 0.02);
  CHECK(mean.of("w", old_rows, 3) == std::vector<float>{5.5, 11, 16.5});

  const std::string map = (directory / "map.json").string() + ": ";
  const json good = {{0, 1.0}};
  const auto map_refusal = [&](const json& written) {
    VocabularyGrowth growth = zip_tie(written, 4);
    growth.base_size = 2;
    return refusal([&] { NewRows(growth, 4, 0.02); });
  };
  CHECK(map_refusal({{"3", good}}) == map + "2: the new id is missing");
  CHECK(map_refusal({{"2", good}, {"3", {{2, 1.0}}}}) == map + "3[0]: 2 is no base id, those are below 2");
  CHECK(refusal([&] {
          NewRows({6, RowInitialization::mean, {}, 0, 5}, 4, 0.02);
        }) == "vocabulary.base_size: 5 is more than the 4 rows that the model has");
}

TEST_CASE("Random rows have the model's standard deviation and depend on seed and tensor alone") {
  const auto drawn = [](std::uint64_t seed, const std::string& name, std::int64_t size) {
    const std::vector<float> old(4 * 64);
    return NewRows({size, RowInitialization::random, {}, seed}, 4, 0.02).of(name, old, 64);
  };
  const auto rows = drawn(1, "a", 1004);
  double sum = 0, squares = 0;
  for (const float x : rows) sum += x, squares += static_cast<double>(x) * x;
  const auto count = static_cast<double>(rows.size());
  CHECK(std::abs(sum / count) < 3 * 0.02 / std::sqrt(count));
  CHECK(std::abs(std::sqrt(squares / count) - 0.02) < 0.0003);
  CHECK(drawn(1, "a", 1004) == rows);
  CHECK(drawn(2, "a", 1004) != rows);
  CHECK(drawn(1, "b", 1004) != rows);
  // Asking for fewer gives the first of them.
  const auto fewer = drawn(1, "a", 504);
  CHECK(std::equal(fewer.begin(), fewer.end(), rows.begin()));
}

TEST_CASE_FIXTURE(Fixture, "A map that does not fit is refused by the id that is wrong") {
  const std::string map = (directory / "map.json").string() + ": ";
  const json good = {{0, 1.0}};
  CHECK(map_refusal({{"4", good}}) == map + "5: the new id is missing");
  CHECK(map_refusal({{"4", good}, {"5", good}, {"6", good}}) == map + "6: is not one of the new ids, 4 to 5");
  CHECK(map_refusal({{"3", good}, {"4", good}, {"5", good}}) == map + "3: is not one of the new ids, 4 to 5");
  CHECK(map_refusal({{"04", good}, {"5", good}}) == map + "04: is not one of the new ids, 4 to 5");
  CHECK(map_refusal({{"four", good}, {"5", good}}) == map + "four: is not one of the new ids, 4 to 5");
  CHECK(map_refusal({{"4", good}, {"5", json::array()}}) == map + "5: names no base token");
  CHECK(map_refusal({{"4", good}, {"5", {{4, 1.0}}}}) == map + "5[0]: 4 is no base id, those are below 4");
  CHECK(map_refusal({{"4", good}, {"5", {{0, 1.0}, {-1, 1.0}}}}) == map + "5[1]: expected [base id, weight]");
  CHECK(map_refusal({{"4", good}, {"5", {{0, "1"}}}}) == map + "5[0]: expected [base id, weight]");
  CHECK(map_refusal({{"4", good}, {"5", {{0, nullptr}}}}) == map + "5[0]: expected [base id, weight]");
  CHECK(map_refusal({{"4", good}, {"5", 3}}).starts_with(map + "5: expected an array"));
  std::ofstream(directory / "map.json") << R"({"4": [[0, 1]], "4": [[1, 1]], "5": [[0, 1]]})";
  CHECK(refusal([&] {
          NewRows({6, RowInitialization::zip_tie, directory / "map.json", 0}, 4, 0.02);
        }) == map + "the key \"4\" is there twice");
  CHECK(refusal([&] {
          NewRows({3, RowInitialization::mean, {}, 0}, 4, 0.02);
        }) == "vocabulary.size: 3 is less than the 4 tokens that the model has");
  const NewRows overflowing(zip_tie({{"4", good}, {"5", {{0, 1e300}}}}), 4, 0.02);
  CHECK(refusal([&] { overflowing.of("w", old_rows, 3); }) ==
        map + "5: its weights give inf as an element of its row in 'w'");
}

TEST_CASE_FIXTURE(
    Fixture, "A grown model keeps its old rows to the bit, in memory and in the directory it is written to") {
  LlamaConfig config;
  config.hidden_size = 8, config.intermediate_size = 12, config.num_hidden_layers = 1;
  config.num_attention_heads = 2, config.num_key_value_heads = 1, config.head_dim = 4, config.vocab_size = 10;
  config.max_position_embeddings = 16;
  const auto backend = make_cpu_backend(1);
  for (const bool tied : {false, true}) {
    CAPTURE(tied);
    config.tie_word_embeddings = tied;
    Llama model(config, {.train = false}, *backend);
    model.initialize_base(3);
    const auto base = directory / (tied ? "tied" : "untied");
    std::filesystem::create_directory(base);
    write_hf_model(base, model, "", {});

    json map;
    for (int id = 10; id < 13; ++id) map[std::to_string(id)] = {{id - 10, 0.25}, {id - 9, 0.75}};
    const HfModel grown(base, zip_tie(map, 13));
    CHECK(grown.config().vocab_size == 13);
    std::ofstream(directory / "tokenizer.json") << "{}";
    const auto written_to = directory / (tied ? "grown-tied" : "grown");
    grown.write(written_to, std::vector{directory / "tokenizer.json"}, *backend);
    CHECK(std::filesystem::exists(written_to / "tokenizer.json"));

    const HfModel written(written_to);
    CHECK(written.config().vocab_size == 13);
    const HfModel original(base);
    for (const char* name :
         {"model.embed_tokens.weight", "lm_head.weight", "model.layers.0.mlp.up_proj.weight"}) {
      if (tied && std::string(name) == "lm_head.weight") continue;
      const auto before = original.read(name, *backend), after = grown.read(name, *backend);
      CHECK(std::equal(before.begin(), before.end(), after.begin()));
      CHECK(written.read(name, *backend) == after);
      if (after.size() == before.size()) continue;
      CHECK(after[10 * 8] == static_cast<float>(0.25 * before[0] + 0.75 * before[8]));
    }
    Llama loaded(grown.config(), {.train = false}, *backend);
    grown.load_into(loaded);
    CHECK(read_parameter(loaded.parameters()[0], *backend) ==
          grown.read("model.embed_tokens.weight", *backend));
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "Rows that no token uses are kept as they are but for those that new tokens take") {
  LlamaConfig config;
  config.hidden_size = 8, config.intermediate_size = 12, config.num_hidden_layers = 1;
  config.num_attention_heads = 2, config.num_key_value_heads = 1, config.head_dim = 4, config.vocab_size = 10;
  config.max_position_embeddings = 16, config.tie_word_embeddings = false;
  const auto backend = make_cpu_backend(1);
  Llama model(config, {.train = false}, *backend);
  model.initialize_base(3);
  std::filesystem::create_directory(directory / "base");
  write_hf_model(directory / "base", model, "", {});
  const HfModel original(directory / "base");
  // Seven tokens in ten rows.
  for (const std::int64_t size : {9, 12}) {
    CAPTURE(size);
    json map;
    for (std::int64_t id = 7; id < size; ++id) map[std::to_string(id)] = {{id - 7, 0.25}, {id - 6, 0.75}};
    VocabularyGrowth growth = zip_tie(map, size);
    growth.base_size = 7;
    const HfModel grown(directory / "base", growth);
    const std::int64_t rows = std::max<std::int64_t>(size, 10);
    CHECK(grown.config().vocab_size == rows);
    const auto written_to = directory / fmt::format("grown-{}", size);
    grown.write(written_to, {}, *backend);
    const HfModel written(written_to);
    CHECK(written.config().vocab_size == rows);
    for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
      const auto before = original.read(name, *backend), after = grown.read(name, *backend);
      REQUIRE(after.size() == static_cast<std::size_t>(rows * 8));
      const auto row = [](const std::vector<float>& values, std::int64_t id) {
        return std::vector(values.begin() + id * 8, values.begin() + (id + 1) * 8);
      };
      for (std::int64_t id = 0; id < rows; ++id) {
        CAPTURE(id);
        if (id < 7 || id >= size) {
          CHECK(row(after, id) == row(before, id));
        } else {
          CHECK(row(after, id)[3] == static_cast<float>(0.25 * static_cast<double>(row(before, id - 7)[3]) +
                                                        0.75 * static_cast<double>(row(before, id - 6)[3])));
        }
      }
      CHECK(written.read(name, *backend) == after);
    }
  }
}

TEST_CASE("Numbers are narrowed to the nearest, ties to even, and what is too large is found") {
  const std::vector<float> numbers = {1,     -2,    0x1p-24F,   0x1.8p-24F, 0x1p-26F,
                                      65504, 65519, 0x1.002p0F, 0x1.006p0F, -0.0F};
  std::vector<std::uint16_t> halves(numbers.size());
  CHECK(narrow(numbers, DType::f16, std::as_writable_bytes(std::span(halves))) == -1);
  CHECK(halves ==
        std::vector<std::uint16_t>{0x3c00, 0xc000, 1, 2, 0, 0x7bff, 0x7bff, 0x3c00, 0x3c02, 0x8000});
  const std::vector<float> large = {1, 65520};
  halves.resize(2);
  CHECK(narrow(large, DType::f16, std::as_writable_bytes(std::span(halves))) == 1);
  const std::vector<float> brains = {1, 0x1.01p0F, 0x1.03p0F, 3.4e38F};
  halves.resize(4);
  CHECK(narrow(brains, DType::bf16, std::as_writable_bytes(std::span(halves))) == 3);
  CHECK(halves == std::vector<std::uint16_t>{0x3f80, 0x3f80, 0x3f82, 0x7f80});
}
