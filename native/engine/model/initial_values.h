#pragma once
// Random numbers that weights start from: the n-th number of a tensor depends on (seed, its name, n) alone.

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/io/interruption.h"

namespace ziptie {

/// The key of a tensor's numbers.
std::uint64_t tensor_key(std::uint64_t seed, std::string_view name);

/// N(0, standard_deviation²).
std::vector<float> normal_numbers(std::uint64_t key, std::int64_t count, double standard_deviation,
                                  const InterruptionPoint& interruption = {});
/// Uniform in (−bound, bound).
std::vector<float> uniform_numbers(std::uint64_t key, std::int64_t count, double bound,
                                   const InterruptionPoint& interruption = {});

}  // namespace ziptie
