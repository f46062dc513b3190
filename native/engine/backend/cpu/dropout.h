#pragma once
#include "engine/backend/backend.h"
#include "engine/backend/philox.h"

namespace ziptie::cpu {

/// to[i] (+)= from[i] · mask / (1 − p) for columns [first, last) of one row, where `first` is a multiple of
/// 64 and `from` and `to` begin. A draw is 16 bits, so p is met to within 1/65536.
template <bool Add, class T>
inline void dropout_row(const Dropout& dropout, std::uint32_t stream, std::int64_t row, std::int64_t first,
                        std::int64_t last, const T* from, T* to) {
  constexpr int counters = 8, draws = counters * 8;
  const auto threshold = static_cast<std::uint32_t>(dropout.probability * 65536.0 + 0.5);
  const T scale = static_cast<T>(1 / (1 - dropout.probability));
  for (std::int64_t column = first; column < last; column += draws) {
    PhiloxBlock<counters> counter{};
    for (int lane = 0; lane < counters; ++lane) {
      counter[0][lane] = static_cast<std::uint32_t>(column / 8 + lane);
      counter[1][lane] = static_cast<std::uint32_t>(row);
      counter[2][lane] = stream;
    }
    const auto bits = philox<counters>(counter, dropout.key);
    T kept[draws];
    for (int word = 0; word < 4; ++word)
      for (int lane = 0; lane < counters; ++lane) {
        kept[word * 2 * counters + lane] = (bits[word][lane] & 0xFFFF) >= threshold ? scale : T{0};
        kept[(word * 2 + 1) * counters + lane] = (bits[word][lane] >> 16) >= threshold ? scale : T{0};
      }
    const std::int64_t begin = column - first, n = std::min<std::int64_t>(draws, last - column);
    for (std::int64_t i = 0; i < n; ++i) {
      const T value = from[begin + i] * kept[i];
      to[begin + i] = Add ? to[begin + i] + value : value;
    }
  }
}

}  // namespace ziptie::cpu
