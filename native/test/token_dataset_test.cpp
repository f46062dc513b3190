#include "engine/data/token_dataset.h"

#include <doctest/doctest.h>

#include "refusal.h"
#include "temporary_directory.h"
#include "token_shard.h"

using namespace ziptie;

namespace {

constexpr std::int64_t vocab_size = 100;

TokenDataset open(const std::filesystem::path& path, std::int64_t max_length,
                  Truncation truncation = Truncation::cut) {
  return TokenDataset(std::vector{path}, {vocab_size, max_length, truncation});
}

std::string refusal_of(const std::vector<std::uint32_t>& ids, const std::vector<std::uint8_t>& mask,
                       const std::vector<std::uint64_t>& offsets) {
  const TemporaryDirectory directory;
  const std::vector<TensorContents> tensors = {one_dimensional("input_ids", DType::u32, ids),
                                               one_dimensional("loss_mask", DType::u8, mask),
                                               one_dimensional("row_offsets", DType::u64, offsets)};
  write_safetensors(directory / "shard", tensors, {});
  const std::string message = refusal([&] { open(directory / "shard", 10); });
  REQUIRE(message.starts_with((directory / "shard").string()));
  return message;
}

}  // namespace

TEST_CASE("Rows are laid end to end without padding, and a row's first token never carries loss") {
  const TemporaryDirectory directory;
  write_shard(directory / "a", {{{1, 2, 3}, {1, 0, 1}}});
  write_shard(directory / "b", {{{4, 5}, {1, 1}}, {{6, 7, 8, 9}, {0, 1, 1, 0}}});
  const TokenDataset dataset(std::vector{directory / "a", directory / "b"}, {vocab_size, 10});
  CHECK(dataset.units() == 3);
  CHECK(dataset.longest() == 4);
  TokenBatch batch;
  for (const int row : {2, 0}) dataset.append_unit(row, batch);
  CHECK(batch.input_ids == std::vector<std::uint32_t>{6, 7, 8, 9, 1, 2, 3});
  CHECK(batch.loss_mask == std::vector<std::uint8_t>{0, 1, 1, 0, 0, 0, 1});
  CHECK(batch.sequence_offsets == std::vector<std::uint32_t>{0, 4, 7});
  CHECK(batch.supervised_tokens() == 3);
}

TEST_CASE(
    "Long rows are cut or dropped, and rows in which nothing is left to learn are left out and counted") {
  const TemporaryDirectory directory;
  write_shard(directory / "a", {{{1, 2, 3, 4, 5}, {0, 1, 1, 1, 1}},
                                {{1, 2, 3, 4, 5}, {0, 0, 0, 0, 1}},
                                {{1, 2}, {0, 1}},
                                {{1, 2}, {1, 0}},
                                {{1}, {1}},
                                {{}, {}}});
  SUBCASE("cut") {
    const auto dataset = open(directory / "a", 3);
    CHECK(dataset.units() == 2);
    CHECK(dataset.unit_tokens(0) == 3);
    CHECK(dataset.counts().used == 2);
    CHECK(dataset.counts().cut == 1);
    CHECK(dataset.counts().too_long == 0);
    CHECK(dataset.counts().unsupervised == 4);
  }
  SUBCASE("drop") {
    const auto dataset = open(directory / "a", 3, Truncation::drop);
    CHECK(dataset.units() == 1);
    CHECK(dataset.counts().cut == 0);
    CHECK(dataset.counts().too_long == 2);
    CHECK(dataset.counts().unsupervised == 3);
  }
}

namespace {

/// Rows [1 2 3], [4 5] without loss, [6 7], [8 9 10 11 12], in packs as `offsets` has them.
TokenDataset open_packed(const std::filesystem::path& path, const std::vector<std::uint64_t>& offsets,
                         std::int64_t max_length = 5) {
  const std::vector<std::uint32_t> ids = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const std::vector<std::uint8_t> mask = {1, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1};
  const std::vector<std::uint64_t> rows = {0, 3, 5, 7, 12};
  const std::vector<TensorContents> tensors = {
      one_dimensional("input_ids", DType::u32, ids), one_dimensional("loss_mask", DType::u8, mask),
      one_dimensional("row_offsets", DType::u64, rows), one_dimensional("pack_offsets", DType::u64, offsets)};
  write_safetensors(path, tensors, {});
  return TokenDataset(std::vector{path}, {vocab_size, max_length, Truncation::cut, true});
}

}  // namespace

TEST_CASE("A pack is one unit, in which every row stays a sequence of its own") {
  const TemporaryDirectory directory;
  const auto dataset = open_packed(directory / "packed", {0, 3, 4});
  CHECK(dataset.units() == 2);
  CHECK(dataset.unit_tokens(0) == 5);
  CHECK(dataset.counts().used == 3);
  CHECK(dataset.counts().unsupervised == 1);
  CHECK(dataset.counts().packs == 2);
  TokenBatch batch;
  for (const int unit : {1, 0}) dataset.append_unit(unit, batch);
  CHECK(batch.input_ids == std::vector<std::uint32_t>{8, 9, 10, 11, 12, 1, 2, 3, 6, 7});
  CHECK(batch.sequence_offsets == std::vector<std::uint32_t>{0, 5, 8, 10});
  CHECK(batch.loss_mask == std::vector<std::uint8_t>{0, 1, 0, 0, 1, 0, 1, 1, 0, 1});
}

TEST_CASE("A pack that has lost all its rows is none, and a row that is cut takes less of its pack") {
  const TemporaryDirectory directory;
  const auto dataset = open_packed(directory / "packed", {0, 1, 2, 3, 4}, 3);
  CHECK(dataset.units() == 3);
  CHECK(dataset.counts().cut == 1);
  CHECK(dataset.unit_tokens(2) == 3);
}

TEST_CASE("Packs that do not hold the rows as they should are refused") {
  const TemporaryDirectory directory;
  const auto refused = [&](const std::vector<std::uint64_t>& offsets) {
    return refusal([&] { open_packed(directory / "packed", offsets); });
  };
  CHECK(refused({0, 4}).find("pack 0 has 10 tokens, max_length is 5") != std::string::npos);
  CHECK(refused({0, 3}).find("pack_offsets end at 3, there are 4 rows") != std::string::npos);
  CHECK(refused({1, 4}).find("pack_offsets do not begin with 0") != std::string::npos);
  CHECK(refused({0, 3, 2, 4}).find("pack 1: pack_offsets [3, 2) do not ascend within 4 rows") !=
        std::string::npos);
  write_shard(directory / "unpacked", {{{1, 2}, {1, 1}}});
  CHECK(refusal([&] {
          TokenDataset(std::vector{directory / "unpacked"}, {vocab_size, 5, Truncation::cut, true});
        }).find("there is no tensor 'pack_offsets'") != std::string::npos);
}

TEST_CASE("Looking at the tokens of a large shard can be interrupted") {
  const TemporaryDirectory directory;
  std::vector<TokenRow> rows(
      17, TokenRow{std::vector<std::uint32_t>(1 << 20, 1), std::vector<std::uint8_t>(1 << 20, 1)});
  write_shard(directory / "large", rows);
  CHECK(refusal([&] {
          TokenDataset(std::vector{directory / "large"}, {vocab_size, 1 << 20},
                       [] { throw std::runtime_error("interrupted"); });
        }) == "interrupted");
}

TEST_CASE("Damaged shards are refused with the row") {
  CHECK(refusal_of({1, 2, 100, 3}, {1, 1, 1, 1}, {0, 2, 4})
            .find("row 1, token 0: input_ids is 100, which is not in the model's vocabulary of 100") !=
        std::string::npos);
  CHECK(refusal_of({1, 2}, {1, 2}, {0, 2}).find("row 0, token 1: loss_mask is 2") != std::string::npos);
  CHECK(refusal_of({1, 2}, {1, 1, 1}, {0, 2}).find("loss_mask has 3 elements, input_ids 2") !=
        std::string::npos);
  CHECK(refusal_of({1, 2}, {1, 1}, {}).find("row_offsets do not begin with 0") != std::string::npos);
  CHECK(refusal_of({1, 2}, {1, 1}, {1, 2}).find("row_offsets do not begin with 0") != std::string::npos);
  CHECK(refusal_of({1, 2}, {1, 1}, {0, 1}).find("row_offsets end at 1, there are 2 tokens") !=
        std::string::npos);
  CHECK(refusal_of({1, 2, 3}, {1, 1, 1}, {0, 2, 1, 3}).find("row 1: row_offsets [2, 1) do not ascend") !=
        std::string::npos);
  CHECK(refusal_of({1, 2, 3}, {1, 1, 1}, {0, 9, 3}).find("row 0: row_offsets [0, 9) do not ascend") !=
        std::string::npos);
  CHECK(refusal_of({1, 2, 3}, {0, 0, 0}, {0, 3}).find("none of the 1 rows") != std::string::npos);
}

TEST_CASE("A shard that lacks a tensor or has it in another type is refused") {
  const TemporaryDirectory directory;
  const std::vector<float> ids = {1};
  write_safetensors(directory / "typed", std::vector{one_dimensional("input_ids", DType::f32, ids)}, {});
  CHECK(refusal([&] {
          open(directory / "typed", 10);
        }).find("'input_ids' is F32 [1], token shards hold U32") != std::string::npos);
  write_safetensors(directory / "empty", std::vector<TensorContents>{}, {});
  CHECK(refusal([&] { open(directory / "empty", 10); }).find("there is no tensor 'input_ids'") !=
        std::string::npos);
}
