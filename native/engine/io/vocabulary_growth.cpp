#include "engine/io/vocabulary_growth.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <stdexcept>

#include "engine/io/json_object.h"
#include "engine/io/safetensors.h"
#include "engine/model/initial_values.h"

namespace ziptie {
namespace {

/// A new id as the map's keys write it: decimal digits, without more zeros than needed. -1 for anything else.
std::int64_t parse_id(const std::string& key) {
  std::int64_t id = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  const bool whole = error == std::errc{} && end == key.data() + key.size();
  return whole && id >= 0 && std::to_string(id) == key ? id : -1;
}

}  // namespace

NewRows::NewRows(const VocabularyGrowth& growth, std::int64_t model_rows, double initializer_range)
    : growth_(growth),
      model_rows_(model_rows),
      base_size_(growth.base_size.value_or(model_rows)),
      initializer_range_(initializer_range) {
  if (base_size_ > model_rows) {
    throw std::invalid_argument(fmt::format(
        "vocabulary.base_size: {} is more than the {} rows that the model has", base_size_, model_rows));
  }
  if (growth.size < base_size_) {
    throw std::invalid_argument(fmt::format(
        "vocabulary.size: {} is less than the {} tokens that the model has", growth.size, base_size_));
  }
  if (growth.initialization == RowInitialization::zip_tie) read_map();
}

void NewRows::read_map() {
  const auto text = read_json(growth_.map);
  JsonObject map(text, growth_.map.string());
  shares_.resize(static_cast<std::size_t>(count()));
  for (const auto& [key, value] : map.json().items()) {
    const std::int64_t id = parse_id(key);
    if (id < base_size_ || id >= growth_.size) {
      map.refuse(key, fmt::format("is not one of the new ids, {} to {}", base_size_, growth_.size - 1));
    }
    const auto& listed = map.array(key);
    if (listed.empty()) map.refuse(key, "names no base token");
    auto& shares = shares_[static_cast<std::size_t>(id - base_size_)];
    for (const auto& share : listed) {
      const auto refuse = [&](const std::string& what) {
        map.refuse(fmt::format("{}[{}]", key, shares.size()), what);
      };
      if (!share.is_array() || share.size() != 2 || !share[0].is_number_unsigned() || !share[1].is_number()) {
        refuse("expected [base id, weight]");
      }
      const auto base_id = share[0].get<std::uint64_t>();
      if (base_id >= static_cast<std::uint64_t>(base_size_)) {
        refuse(fmt::format("{} is no base id, those are below {}", base_id, base_size_));
      }
      shares.push_back({static_cast<std::int64_t>(base_id), share[1].get<double>()});
    }
  }
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    if (shares_[i].empty()) {
      map.refuse(std::to_string(base_size_ + static_cast<std::int64_t>(i)), "the new id is missing");
    }
  }
}

std::vector<float> NewRows::of(const std::string& name, std::span<const float> old, std::int64_t width,
                               const InterruptionPoint& interruption) const {
  const auto columns = static_cast<std::size_t>(width);
  std::vector<float> rows(static_cast<std::size_t>(count()) * columns);
  const auto add_row = [&](std::vector<double>& sum, std::int64_t id, double weight) {
    const auto row = old.subspan(static_cast<std::size_t>(id) * columns, columns);
    for (std::size_t i = 0; i < columns; ++i) sum[i] += weight * static_cast<double>(row[i]);
  };
  const auto put = [&](std::size_t row, const std::vector<double>& sum, double divisor) {
    for (std::size_t i = 0; i < columns; ++i) rows[row * columns + i] = static_cast<float>(sum[i] / divisor);
  };
  std::vector<double> sum(columns);
  switch (growth_.initialization) {
    case RowInitialization::random:
      // Keyed apart from the tensor's own random initialisation, whose first rows these would repeat.
      rows = normal_numbers(tensor_key(growth_.seed, name + " new rows"),
                            static_cast<std::int64_t>(rows.size()), initializer_range_, interruption);
      break;
    case RowInitialization::mean:
      for (std::int64_t id = 0; id < base_size_; ++id) add_row(sum, id, 1);
      for (std::size_t row = 0; row < static_cast<std::size_t>(count()); ++row) {
        put(row, sum, static_cast<double>(base_size_));
      }
      break;
    case RowInitialization::zip_tie:
      for (std::size_t row = 0; row < shares_.size(); ++row) {
        std::fill(sum.begin(), sum.end(), 0.0);
        for (const Share& share : shares_[row]) add_row(sum, share.base_id, share.weight);
        put(row, sum, 1);
      }
      break;
  }
  // Only a map's weights can overflow: initializer_range is bounded, and no mean exceeds what it is of.
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (std::isfinite(rows[i])) continue;
    throw FileError(fmt::format("{}: {}: its weights give {} as an element of its row in '{}'",
                                growth_.map.string(), base_size_ + static_cast<std::int64_t>(i / columns),
                                rows[i], name));
  }
  return rows;
}

}  // namespace ziptie
