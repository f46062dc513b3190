#include "engine/data/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>

using namespace ziptie;

namespace {

using Row = std::pair<std::int64_t, std::int64_t>;

std::vector<Row> epoch(const Sampler& sampler, std::int64_t number) {
  std::vector<Row> rows;
  for (std::int64_t i = 0; i < sampler.rows_per_epoch(); ++i) {
    const SampledRow row = sampler.at(number * sampler.rows_per_epoch() + i);
    rows.emplace_back(row.dataset, row.row);
  }
  return rows;
}

std::map<Row, int> counted(const std::vector<Row>& rows) {
  std::map<Row, int> counts;
  for (const Row& row : rows) counts[row] += 1;
  return counts;
}

}  // namespace

TEST_CASE("The permutation takes every position to another, for every size and key") {
  for (std::uint64_t count = 1; count <= 130; ++count) {
    for (const std::uint64_t key : {0ULL, 1ULL, 0xdeadbeefULL}) {
      std::vector<bool> hit(count);
      for (std::uint64_t i = 0; i < count; ++i) hit.at(permuted(i, count, key)) = true;
      CHECK(std::all_of(hit.begin(), hit.end(), [](bool b) { return b; }));
    }
  }
}

TEST_CASE("The permutation shows no trace of the order it had") {
  // Neighbours stay neighbours, and positions stay where they are, about as often as chance has it: once.
  constexpr std::uint64_t count = 10'000;
  for (std::uint64_t key = 0; key < 20; ++key) {
    int fixed = 0, neighbours = 0;
    for (std::uint64_t i = 0; i + 1 < count; ++i) {
      fixed += permuted(i, count, key) == i;
      neighbours += permuted(i, count, key) + 1 == permuted(i + 1, count, key);
    }
    CHECK(fixed < 10);
    CHECK(neighbours < 10);
  }
}

TEST_CASE("Every row comes once per epoch, in another order each time") {
  const Sampler sampler(std::vector<WeightedRows>{{37, 1}, {5, 1}}, 42, true);
  const auto first = epoch(sampler, 0), second = epoch(sampler, 1);
  for (const auto& rows : {first, second}) {
    const auto counts = counted(rows);
    CHECK(counts.size() == 42);
    CHECK(std::all_of(counts.begin(), counts.end(), [](const auto& entry) { return entry.second == 1; }));
  }
  CHECK(first != second);
  CHECK(!std::is_sorted(first.begin(), first.end()));
}

TEST_CASE("The order depends on the seed alone") {
  const std::vector<WeightedRows> datasets = {{50, 1}};
  CHECK(epoch(Sampler(datasets, 1, true), 3) == epoch(Sampler(datasets, 1, true), 3));
  CHECK(epoch(Sampler(datasets, 1, true), 3) != epoch(Sampler(datasets, 2, true), 3));
}

TEST_CASE("Unshuffled, data sets follow each other as they are, epoch after epoch") {
  const Sampler sampler(std::vector<WeightedRows>{{3, 1}, {2, 1}}, 42, false);
  const std::vector<Row> order = {{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}};
  CHECK(epoch(sampler, 0) == order);
  CHECK(epoch(sampler, 7) == order);
}

TEST_CASE("A weight of 2.5 means every row twice and half of them a third time, another half each epoch") {
  const Sampler sampler(std::vector<WeightedRows>{{40, 2.5}, {10, 1}}, 9, true);
  CHECK(sampler.rows_per_epoch() == 110);
  std::vector<std::vector<Row>> thirds;
  for (int number = 0; number < 2; ++number) {
    auto& third = thirds.emplace_back();
    for (const auto& [row, count] : counted(epoch(sampler, number))) {
      CHECK(count == doctest::Approx(row.first == 0 ? 2.5 : 1).epsilon(0.25));
      if (count == 3) third.push_back(row);
    }
    CHECK(third.size() == 20);
  }
  CHECK(thirds[0] != thirds[1]);
}

TEST_CASE("However small its weight, a data set is never left out altogether") {
  const Sampler sampler(std::vector<WeightedRows>{{3, 0.01}, {10, 1}}, 9, true);
  CHECK(sampler.rows_per_epoch() == 11);
}

namespace {

/// A length for every row, with many of the same.
std::int64_t length_of(SampledRow row) { return (row.row * 7919 + row.dataset * 31) % 23 + 1; }

/// transformers' get_length_grouped_indices, on rows that are shuffled already.
std::vector<Row> grouped_by_length(std::vector<Row> rows, std::int64_t batch_size) {
  const auto longer = [](const Row& a, const Row& b) {
    return length_of({a.first, a.second}) > length_of({b.first, b.second});
  };
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::int64_t size =
      std::max<std::int64_t>(1, std::min<std::int64_t>(count / (batch_size * 4), 50)) * batch_size;
  std::vector<std::int64_t> fronts;
  for (std::int64_t begin = 0; begin < count; begin += size) {
    std::stable_sort(rows.begin() + begin, rows.begin() + std::min(count, begin + size), longer);
    fronts.push_back(begin);
  }
  const auto longest = *std::max_element(
      fronts.begin(), fronts.end(), [&](std::int64_t a, std::int64_t b) { return longer(rows[b], rows[a]); });
  std::swap(rows[0], rows[longest]);
  return rows;
}

}  // namespace

TEST_CASE("Grouped by length, an epoch holds the rows of a shuffled one in transformers' order") {
  for (const bool shuffle : {true, false}) {
    for (const std::int64_t batch_size : {1, 3, 8, 100}) {
      const std::vector<WeightedRows> datasets = {{137, 1}, {45, 1.5}};
      const Sampler plain(datasets, 5, shuffle),
          grouped(datasets, 5, shuffle, LengthGrouping{batch_size, length_of});
      for (const std::int64_t number : {0, 3})
        CHECK(epoch(grouped, number) == grouped_by_length(epoch(plain, number), batch_size));
    }
  }
}

TEST_CASE("Grouped by length, any position can be asked for first") {
  const std::vector<WeightedRows> datasets = {{200, 1}};
  const Sampler one(datasets, 5, true, LengthGrouping{4, length_of});
  for (const std::int64_t position : {700, 13, 250, 199, 0, 401}) {
    const Sampler fresh(datasets, 5, true, LengthGrouping{4, length_of});
    CHECK(one.at(position).row == fresh.at(position).row);
  }
}
