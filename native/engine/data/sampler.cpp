#include "engine/data/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/backend/philox.h"

namespace ziptie {
namespace {

/// Keys of independent permutations, one for every list of numbers.
std::uint64_t key_of(std::initializer_list<std::uint64_t> numbers) {
  std::uint64_t key = 0;
  for (const std::uint64_t number : numbers) key = mix_bits(key ^ mix_bits(number));
  return key;
}

}  // namespace

std::uint64_t permuted(std::uint64_t index, std::uint64_t count, std::uint64_t key) {
  constexpr int rounds = 6;
  // Two halves of equal width that together hold count - 1; less than four times count, so few walks are
  // long.
  const int half = std::max(1, (static_cast<int>(std::bit_width(count - 1)) + 1) / 2);
  const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
  do {
    std::uint64_t left = index >> half, right = index & mask;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const std::uint64_t mixed = left ^ (mix_bits(right ^ mix_bits(key + round)) & mask);
      left = right;
      right = mixed;
    }
    index = left << half | right;
  } while (index >= count);
  return index;
}

Sampler::Sampler(std::span<const WeightedRows> datasets, std::uint64_t seed, bool shuffle,
                 std::optional<LengthGrouping> grouping)
    : seed_(seed), shuffle_(shuffle), grouping_(std::move(grouping)) {
  for (const WeightedRows& dataset : datasets) {
    datasets_.push_back({dataset.rows, rows_per_epoch_});
    const double contribution = std::round(dataset.weight * static_cast<double>(dataset.rows));
    rows_per_epoch_ += std::max<std::int64_t>(1, static_cast<std::int64_t>(contribution));
  }
}

SampledRow Sampler::at(std::int64_t position) const {
  const std::int64_t epoch = position / rows_per_epoch_, within = position % rows_per_epoch_;
  return ungrouped(epoch, grouping_ ? grouped(epoch, within) : within);
}

std::int64_t Sampler::grouped(std::int64_t epoch, std::int64_t within) const {
  const auto length = [&](std::int64_t place) { return grouping_->length(ungrouped(epoch, place)); };
  const std::int64_t batches = std::clamp<std::int64_t>(rows_per_epoch_ / (grouping_->batch_size * 4), 1, 50);
  const std::int64_t size = batches * grouping_->batch_size, index = within / size;
  Megabatch& known = megabatch_;
  if (known.epoch != epoch) {
    known = {.epoch = epoch, .index = -1, .longest = 0, .leader = 0, .places = {}};
    std::int64_t most = 0;
    for (std::int64_t place = 0; place < rows_per_epoch_; ++place) {
      if (const std::int64_t tokens = length(place); tokens > most) {
        most = tokens;
        known.longest = place;
        if (place < size) known.leader = place;
      }
    }
  }
  if (known.index != index) {
    known.index = index;
    known.places.resize(static_cast<std::size_t>(std::min(size, rows_per_epoch_ - index * size)));
    std::iota(known.places.begin(), known.places.end(), index * size);
    std::ranges::stable_sort(known.places, std::greater(), length);
    // The places of the epoch's longest row and of the first megabatch's are exchanged.
    if (known.longest / size == index) known.places.front() = known.leader;
    if (index == 0) known.places.front() = known.longest;
  }
  return known.places[static_cast<std::size_t>(within - index * size)];
}

SampledRow Sampler::ungrouped(std::int64_t epoch, std::int64_t within) const {
  if (shuffle_) {
    within = static_cast<std::int64_t>(permuted(static_cast<std::uint64_t>(within),
                                                static_cast<std::uint64_t>(rows_per_epoch_),
                                                key_of({seed_, static_cast<std::uint64_t>(epoch)})));
  }
  const auto after =
      std::upper_bound(datasets_.begin(), datasets_.end(), within,
                       [](std::int64_t at, const Dataset& dataset) { return at < dataset.begin; });
  const auto dataset = after - datasets_.begin() - 1;
  const auto& [rows, begin] = datasets_[static_cast<std::size_t>(dataset)];
  const std::int64_t pass = (within - begin) / rows;
  std::int64_t row = (within - begin) % rows;
  if (shuffle_) {
    // So that the share of a last, partial pass is not always the data set's beginning.
    const std::uint64_t key =
        key_of({seed_, static_cast<std::uint64_t>(epoch), static_cast<std::uint64_t>(dataset) + 1,
                static_cast<std::uint64_t>(pass)});
    row = static_cast<std::int64_t>(
        permuted(static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(rows), key));
  }
  return {dataset, row};
}

}  // namespace ziptie
