#pragma once
// More tokens for a model that has been trained without them: new rows of its embedding and its head.

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/io/interruption.h"

namespace ziptie {

/// Where the rows of new tokens come from.
enum class RowInitialization {
  random,  ///< N(0, initializer_range²)
  mean,    ///< the mean of all old rows
  zip_tie  ///< a weighted sum of the old rows that a map names
};

/// What is asked for: `model.vocabulary` of a plan.
struct VocabularyGrowth {
  std::int64_t size = 0;  ///< tokens afterwards
  RowInitialization initialization = RowInitialization::random;
  std::filesystem::path map;  ///< of `zip_tie`: JSON `{"NEW ID": [[BASE ID, WEIGHT], …], …}`
  std::uint64_t seed = 0;     ///< of `random`
};

/// The new rows for a model whose vocabulary has `base_size` tokens.
class NewRows {
 public:
  /// Reads the map, if there is one, and checks that it names every new id and no other, each with base ids
  /// below `base_size` and finite weights. The weights are used as they are: nothing makes them sum to 1.
  /// @throws FileError naming the map and the id in it; std::invalid_argument when `size` is below
  /// `base_size`
  NewRows(const VocabularyGrowth& growth, std::int64_t base_size, double initializer_range);

  std::int64_t base_size() const { return base_size_; }
  std::int64_t count() const { return growth_.size - base_size_; }

  /// The new rows of the tensor `name`, whose old ones are `old` [base_size, width]. Sums are float64, in the
  /// order of the old rows or of the map. Random numbers depend on the seed, `name` and their place alone.
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
  std::int64_t base_size_;
  double initializer_range_;
  std::vector<std::vector<Share>> shares_;  ///< of each new id, in the map's order
};

}  // namespace ziptie
