#pragma once
// What the attention ops share: one head's queries against blocks of its keys, with a running softmax (Dao et
// al., "FlashAttention", 2022), so that the matrix of scores exists one block at a time. Queries lie along
// the lanes of vectors, a panel of them at a time, and keys go down the rows: a softmax needs no sums across
// lanes, narrow heads fill whole vectors too, and little more of a causal triangle is computed than counts.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <utility>

#include "engine/backend/cpu/gemm.h"
#include "engine/backend/cpu/packing.h"
#include "engine/backend/cpu/vector.h"

namespace ziptie::cpu {

/// Vectors that a panel's queries fill: with four rows of keys, twelve sums, which is what registers hold.
inline constexpr int panel_vectors = 3;
template <class T>
inline constexpr std::int64_t panel_queries = panel_vectors* lanes<T>;
/// Keys whose scores exist at once.
inline constexpr std::int64_t key_block = 96;

/// Rows of one head in a wider tensor.
template <class T>
struct HeadRows {
  T* data;
  std::int64_t stride;

  HeadRows from(std::int64_t row) const { return {data + row * stride, stride}; }
};

/// to[row][i] = factor · from[row][i], rows `width` long padded with zeros to whole vectors, and after them
/// rows of zeros up to `all_rows`.
template <class T>
void pack_rows(HeadRows<const T> from, std::int64_t rows, std::int64_t width, T factor, T* to,
               std::int64_t all_rows = 0) {
  const std::int64_t whole = width / lanes<T> * lanes<T>, rest = width - whole;
  for (const T* source = from.data; rows > 0; --rows, --all_rows, source += from.stride) {
    for (std::int64_t i = 0; i < whole; i += lanes<T>, to += lanes<T>)
      store<T>(to, load(source + i) * factor);
    if (rest > 0) store<T>(std::exchange(to, to + lanes<T>), load(source + whole, rest) * factor);
  }
  if (all_rows > 0) std::fill_n(to, all_rows * padded<T>(width), T{0});
}

/// The reverse.
template <class T>
void unpack_rows(const T* from, std::int64_t rows, std::int64_t width, T factor, HeadRows<T> to) {
  for (std::int64_t row = 0; row < rows; ++row, from += padded<T>(width)) {
    T* target = to.data + row * to.stride;
    for_vectors<T>(width, [&](std::int64_t i, auto n) { store<T>(target + i, load(from + i) * factor, n); });
  }
}

/// to[i][q] = factor · rows[q][i] of a panel's `rows` [panel, padded width].
template <class T>
void transpose_panel(const T* rows, std::int64_t width, T factor, T* to) {
  constexpr std::int64_t block = lanes<T>;
  for (std::int64_t i = 0; i < width; i += block)
    for (std::int64_t q = 0; q < panel_queries<T>; q += block)
      transpose_block(rows + q * padded<T>(width) + i, padded<T>(width), factor,
                      to + i * panel_queries<T> + q, panel_queries<T>);
}

/// A number for each query of a panel.
template <class T>
struct PanelLanes {
  Vector<T> vectors[panel_vectors];

  static PanelLanes filled(T value) {
    PanelLanes filled;
    for (auto& v : filled.vectors) v = broadcast(value);
    return filled;
  }
  T operator[](std::int64_t query) const { return vectors[query / lanes<T>][query % lanes<T>]; }
  void set(std::int64_t query, T value) { vectors[query / lanes<T>][query % lanes<T>] = value; }
};

/// A panel of queries against a block of keys, of which query i sees those before `seen` + i. The block's
/// scores are rows of a panel's numbers, one for each key.
template <class T>
struct CausalBlock {
  std::int64_t keys, seen;

  /// f(where in the scores, vector of the panel, pick) for all of them: pick(x, y) is x in the lanes that see
  /// the key and y in the others.
  template <class F>
  void for_each(F&& f) const {
    const std::int64_t seen_by_all = std::clamp<std::int64_t>(seen, 0, keys);
    for (std::int64_t key = 0; key < seen_by_all; ++key)
#pragma GCC unroll 3
      for (int v = 0; v < panel_vectors; ++v)
        f(key * panel_queries<T> + v * lanes<T>, v, [](Vector<T> x, Vector<T>) { return x; });
    for (std::int64_t key = seen_by_all; key < keys; ++key) {
      const auto last_blind = broadcast(static_cast<T>(key - seen));
#pragma GCC unroll 3
      for (int v = 0; v < panel_vectors; ++v) {
        Vector<T> lane;
        for (int i = 0; i < lanes<T>; ++i) lane[i] = static_cast<T>(v * lanes<T> + i);
        const auto sees = lane > last_blind;
        f(key * panel_queries<T> + v * lanes<T>, v,
          [sees](Vector<T> x, Vector<T> y) { return sees ? x : y; });
      }
    }
  }
};

/// scores[keys, panel] = rows[keys, padded width] panel[width, panel].
template <class T>
void multiply_by_panel(std::int64_t keys, std::int64_t width, const T* rows, const T* panel, T* scores) {
  small_gemm<false>(keys, panel_queries<T>, width, rows, padded<T>(width), std::int64_t{1}, panel,
                    panel_queries<T>, scores, panel_queries<T>);
}

/// to[queries, padded width] += scoresᵀ rows[keys, padded width].
template <class T>
void add_weighted_rows(std::int64_t queries, std::int64_t keys, std::int64_t width, const T* scores,
                       const T* rows, T* to) {
  small_gemm<true>(queries, padded<T>(width), keys, scores, std::int64_t{1}, panel_queries<T>, rows,
                   padded<T>(width), to, padded<T>(width));
}

/// to[keys, padded width] += scores rows[queries, padded width].
template <class T>
void add_weighted_queries(std::int64_t keys, std::int64_t queries, std::int64_t width, const T* scores,
                          const T* rows, T* to) {
  small_gemm<true>(keys, padded<T>(width), queries, scores, panel_queries<T>, std::int64_t{1}, rows,
                   padded<T>(width), to, padded<T>(width));
}

/// Hands out pieces of a task's memory, each beginning with a whole vector. Without memory it only counts.
template <class T>
class Pieces {
 public:
  explicit Pieces(T* memory) : memory_(memory) {}
  T* take(std::int64_t elements) {
    const std::int64_t begin = taken_;
    taken_ += round_up(elements, 16);
    return memory_ ? memory_ + begin : nullptr;
  }
  std::int64_t taken() const { return taken_; }

 private:
  T* memory_;
  std::int64_t taken_ = 0;
};

}  // namespace ziptie::cpu
