#include "engine/model/initial_values.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "engine/backend/philox.h"

namespace ziptie {

namespace {

/// Drawing so many takes a fraction of a second.
constexpr std::int64_t blocks_between_passes = 1 << 20;

/// Four numbers in (0, 1), never at the ends, for the `index`-th block of four.
std::array<double, 4> uniform_block(std::uint64_t key, std::uint64_t index) {
  PhiloxBlock<1> counter{};
  counter[0][0] = static_cast<std::uint32_t>(index);
  counter[1][0] = static_cast<std::uint32_t>(index >> 32);
  const auto bits = philox<1>(counter, key);
  std::array<double, 4> numbers;
  for (int i = 0; i < 4; ++i) numbers[i] = (bits[i][0] + 0.5) * 0x1p-32;
  return numbers;
}

}  // namespace

std::uint64_t tensor_key(std::uint64_t seed, std::string_view name) {
  // FNV-1a of the name, mixed with the seed.
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return mix_bits(seed ^ mix_bits(hash));
}

std::vector<float> normal_numbers(std::uint64_t key, std::int64_t count, double standard_deviation,
                                  const InterruptionPoint& interruption) {
  std::vector<float> values(count);
  for (std::int64_t block = 0; block * 4 < count; ++block) {
    if (block % blocks_between_passes == 0) pass(interruption);
    // Box and Muller: two uniform numbers make two normal ones.
    const auto u = uniform_block(key, block);
    const double radius[] = {std::sqrt(-2 * std::log(u[0])), std::sqrt(-2 * std::log(u[2]))};
    const double angle[] = {2 * std::numbers::pi * u[1], 2 * std::numbers::pi * u[3]};
    const double normal[] = {radius[0] * std::cos(angle[0]), radius[0] * std::sin(angle[0]),
                             radius[1] * std::cos(angle[1]), radius[1] * std::sin(angle[1])};
    for (std::int64_t i = block * 4; i < std::min(count, block * 4 + 4); ++i)
      values[i] = static_cast<float>(standard_deviation * normal[i - block * 4]);
  }
  return values;
}

std::vector<float> uniform_numbers(std::uint64_t key, std::int64_t count, double bound,
                                   const InterruptionPoint& interruption) {
  std::vector<float> values(count);
  for (std::int64_t block = 0; block * 4 < count; ++block) {
    if (block % blocks_between_passes == 0) pass(interruption);
    const auto u = uniform_block(key, block);
    for (std::int64_t i = block * 4; i < std::min(count, block * 4 + 4); ++i)
      values[i] = static_cast<float>(bound * (2 * u[i - block * 4] - 1));
  }
  return values;
}

}  // namespace ziptie
