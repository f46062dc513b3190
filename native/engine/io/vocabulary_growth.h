#pragma once
// More tokens for a model that has been trained without them: new rows of its embedding and its head.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/io/interruption.h"

namespace ziptie {

/// Where the rows of new tokens come from.
enum class RowInitialization {
  random,  ///< N(0, initializer_range²)
  mean,    ///< the mean of the rows of all old tokens
  zip_tie  ///< a weighted sum of the rows of old tokens that a map names
};

/// What is asked for: `model.vocabulary` of a plan.
struct VocabularyGrowth {
  std::int64_t size = 0;  ///< tokens afterwards
  RowInitialization initialization = RowInitialization::random;
  std::filesystem::path map;  ///< of `zip_tie`: JSON `{"NEW ID": [[BASE ID, WEIGHT], …], …}`
  std::uint64_t seed = 0;     ///< of `random`
  /// Tokens before. A model may have more rows than that, which nothing has used yet: new tokens take those
  /// first. Unknown, every row is a token's.
  std::optional<std::int64_t> base_size = std::nullopt;
};

/// The new rows for a model whose embedding has `model_rows` rows.
class NewRows {
 public:
  /// Reads the map, if there is one, and checks that it names every new id and no other, each with base ids
  /// below `base_size` and finite weights. The weights are used as they are: nothing makes them sum to 1.
  /// @throws FileError naming the map and the id in it; std::invalid_argument when `base_size` is above
  /// `model_rows`, or `size` below `base_size`
  NewRows(const VocabularyGrowth& growth, std::int64_t model_rows, double initializer_range);

  /// The first new id.
  std::int64_t base_size() const { return base_size_; }
  std::int64_t count() const { return growth_.size - base_size_; }
  /// Rows of the grown model; those from `size` on are the base's, still unused.
  std::int64_t rows_afterwards() const { return std::max(growth_.size, model_rows_); }

  /// The new rows [count, width] of the tensor `name`, whose old ones are `old` [model_rows, width]. Sums are
  /// float64, in the order of the old rows or of the map. Random numbers depend on the seed, `name` and their
  /// place alone.
  /// @param width elements of a row
  std::vector<float> of(const std::string& name, std::span<const float> old, std::int64_t width,
                        const InterruptionPoint& interruption = {}) const;

 private:
  struct Share {
    std::int64_t base_id;
    double weight;
  };

  void read_map();

  VocabularyGrowth growth_;
  std::int64_t model_rows_, base_size_;
  double initializer_range_;
  std::vector<std::vector<Share>> shares_;  ///< of each new id, in the map's order
};

}  // namespace ziptie
