#pragma once
// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
// (2011): random bits are a function of a key and a counter, so they depend on no order of execution.

#include <array>
#include <cstdint>

namespace ziptie {

/// The state word-wise, `Lanes` independent counters side by side so that a compiler can keep each word in
/// one vector.
template <int Lanes>
using PhiloxBlock = std::array<std::array<std::uint32_t, Lanes>, 4>;

template <int Lanes>
inline PhiloxBlock<Lanes> philox(PhiloxBlock<Lanes> counter, std::uint64_t key) {
  auto key0 = static_cast<std::uint32_t>(key);
  auto key1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int lane = 0; lane < Lanes; ++lane) {
      const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0][lane];
      const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2][lane];
      const auto word0 = static_cast<std::uint32_t>(product1 >> 32) ^ counter[1][lane] ^ key0;
      const auto word2 = static_cast<std::uint32_t>(product0 >> 32) ^ counter[3][lane] ^ key1;
      counter[0][lane] = word0;
      counter[1][lane] = static_cast<std::uint32_t>(product1);
      counter[2][lane] = word2;
      counter[3][lane] = static_cast<std::uint32_t>(product0);
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return counter;
}

/// SplitMix64's finaliser: spreads the bits of `x` over the whole word. For making keys.
inline std::uint64_t mix_bits(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace ziptie
