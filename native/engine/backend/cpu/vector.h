#pragma once
// 32-byte vectors of float or double, so that one kernel text serves both types.

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <numbers>

namespace ziptie::cpu {

template <class T>
struct VectorTraits;
template <>
struct VectorTraits<float> {
  typedef float type __attribute__((vector_size(32)));
};
template <>
struct VectorTraits<double> {
  typedef double type __attribute__((vector_size(32)));
};

template <class T>
using Vector = typename VectorTraits<T>::type;

template <class T>
inline constexpr int lanes = 32 / sizeof(T);

/// `n` rounded up to whole vectors.
template <class T>
constexpr std::int64_t padded(std::int64_t n) {
  return (n + lanes<T> - 1) / lanes<T> * lanes<T>;
}

template <class T>
inline Vector<T> load(const T* from) {
  Vector<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
/// All bits of the first `n` < 8 lanes.
inline __m256i first_lanes(std::int64_t n) {
  alignas(64) static constexpr std::int32_t bits[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bits + 8 - n));
}
/// The first `n` lanes; the others are zero.
template <class T>
inline Vector<T> load(const T* from, std::int64_t n) {
  if constexpr (sizeof(T) == sizeof(float)) return _mm256_maskload_ps(from, first_lanes(n));
  Vector<T> v{};
  for (std::int64_t i = 0; i < n; ++i) v[i] = from[i];
  return v;
}
template <class T>
inline Vector<T> load(const T* from, std::integral_constant<int, lanes<T>>) {
  return load(from);
}
template <class T>
inline void store(T* to, Vector<T> v) {
  std::memcpy(to, &v, sizeof v);
}
template <class T>
inline void store(T* to, Vector<T> v, std::int64_t n) {
  if constexpr (sizeof(T) == sizeof(float)) {
    // Not a masked store, which takes twenty cycles on some processors.
    __m128 four = _mm256_castps256_ps128(v);
    if (n & 4) {
      _mm_storeu_ps(to, four);
      four = _mm256_extractf128_ps(v, 1);
      to += 4;
    }
    if (n & 2) {
      _mm_storel_pi(reinterpret_cast<__m64*>(to), four);
      four = _mm_movehl_ps(four, four);
      to += 2;
    }
    if (n & 1) _mm_store_ss(to, four);
  } else {
    for (std::int64_t i = 0; i < n; ++i) to[i] = v[i];
  }
}
template <class T>
inline void store(T* to, Vector<T> v, std::integral_constant<int, lanes<T>>) {
  store<T>(to, v);
}
template <class T>
inline Vector<T> broadcast(T x) {
  return x - Vector<T>{};
}

/// Lanes are taken in halves: the upper half with the lower, then quarters, then neighbours.
template <class T>
inline T sum_lanes(Vector<T> v) {
  for (int width = lanes<T> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v[i] += v[i + width];
  return v[0];
}
template <>
inline float sum_lanes<float>(Vector<float> v) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
template <class T>
inline T max_lanes(Vector<T> v) {
  for (int width = lanes<T> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v[i] = v[i] > v[i + width] ? v[i] : v[i + width];
  return v[0];
}
template <>
inline float max_lanes<float>(Vector<float> v) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

/// eˣ, within 2 ulp in float; below −87 it is zero, since subnormals are slow and count for nothing here.
inline Vector<float> exponential(Vector<float> x) {
  typedef std::uint32_t Integers __attribute__((vector_size(32)));
  const auto argument = x;
  const auto low = broadcast(-87.0f);
  x = _mm256_max_ps(low, x);  // in this order NaN stays as it is
  x = _mm256_min_ps(broadcast(88.0f), x);
  // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
  const auto shifter = broadcast(12582912.0f);
  const auto shifted = x * 1.44269504088896341f + shifter;
  const auto n = shifted - shifter;
  auto r = x - n * 0.693145751953125f;   // ln 2 in two parts (Cody and Waite): the first has few bits,
  r = r - n * 1.428606820309417232e-6f;  // so that n times it is exact
  auto p = r * 1.9875691500e-4f + 1.3981999507e-3f;  // Cephes' expf polynomial
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  Integers exponent;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  exponent = (exponent << 23) + (127 << 23);
  Vector<float> power;
  std::memcpy(&power, &exponent, sizeof power);
  return _mm256_andnot_ps(_mm256_cmp_ps(argument, low, _CMP_LT_OQ), p * power);
}
inline Vector<double> exponential(Vector<double> x) {
  for (int i = 0; i < lanes<double>; ++i) x[i] = std::exp(x[i]);
  return x;
}

/// 2ˣ for x < 128, within 3 ulp in float, where it is 2⁻¹²⁶ for anything below. Fewer operations than eˣ: for
/// softmaxes, whose scores can be had in units of ln 2.
inline Vector<float> exponential2(Vector<float> x) {
  typedef std::uint32_t Integers __attribute__((vector_size(32)));
  x = _mm256_max_ps(broadcast(-126.0f), x);  // in this order NaN stays as it is
  // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
  const auto shifter = broadcast(12582912.0f);
  const auto shifted = x + shifter;
  const auto r = x - (shifted - shifter), square = r * r;
  // The polynomial of degree 5 whose largest relative error on [-½, ½] is least (Remez): 7.5e-8. Pairs of
  // terms do not wait for each other.
  const auto high = r * 1.3276472455e-3f + 9.6755409613e-3f, middle = r * 5.5507130921e-2f + 2.4022120237e-1f;
  const auto low = r * 6.9314694405e-1f + 1.0000001192f;
  const auto p = (high * square + middle) * square + low;
  // The integer goes to the exponent; the other bits of `shifted` are lost. A NaN stays one
  // unless it carries a message in its low bits, which none that arithmetic makes does.
  Integers exponent, bits;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  std::memcpy(&bits, &p, sizeof bits);
  bits += exponent << 23;
  Vector<float> power;
  std::memcpy(&power, &bits, sizeof power);
  return power;
}
inline Vector<double> exponential2(Vector<double> x) {
  for (int i = 0; i < lanes<double>; ++i) x[i] = std::exp2(x[i]);
  return x;
}

/// 1 / (1 + e⁻ˣ), within 1e-6 of it.
template <class T>
inline Vector<T> sigmoid(Vector<T> x) {
  const auto scaled = x * static_cast<T>(-std::numbers::log2e), most = broadcast(T{126});
  return T{1} / (T{1} + exponential2(scaled > most ? most : scaled));
}

/// to[j][i] = factor · from[i][j] for as many rows and columns as a vector has lanes, rows `from_row` and
/// `to_row` elements apart.
inline void transpose_block(const float* from, std::int64_t from_row, float factor, float* to,
                            std::int64_t to_row) {
  __m256 r[8], s[8];
  for (int i = 0; i < 8; ++i) r[i] = load(from + i * from_row) * factor;
  for (int i = 0; i < 8; i += 2) {
    s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int half = 0; half < 2; ++half) {
      r[i + 2 * half] = _mm256_shuffle_ps(s[i + half], s[i + half + 2], 0x44);
      r[i + 2 * half + 1] = _mm256_shuffle_ps(s[i + half], s[i + half + 2], 0xEE);
    }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + i * to_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * to_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}
inline void transpose_block(const double* from, std::int64_t from_row, double factor, double* to,
                            std::int64_t to_row) {
  for (int i = 0; i < lanes<double>; ++i)
    for (int j = 0; j < lanes<double>; ++j) to[j * to_row + i] = from[i * from_row + j] * factor;
}

/// f(first index, lanes in use) over [0, n) in vectors.
template <class T, class F>
inline void for_vectors(std::int64_t n, F&& f) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) f(i, std::integral_constant<int, lanes<T>>{});
  if (i < n) f(i, n - i);
}

/// to[i] += factor · from[i].
template <class T>
inline void add_multiple(std::int64_t n, T factor, const T* from, T* to) {
  for_vectors<T>(n, [&](std::int64_t i, auto used) {
    store<T>(to + i, load(to + i, used) + factor * load(from + i, used), used);
  });
}

template <class T>
inline T dot(std::int64_t n, const T* a, const T* b) {
  Vector<T> sums[4] = {};  // independent, so that additions overlap
  std::int64_t i = 0;
  for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>)
    for (int v = 0; v < 4; ++v) sums[v] += load(a + i + v * lanes<T>) * load(b + i + v * lanes<T>);
  auto total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (; i + lanes<T> <= n; i += lanes<T>) total += load(a + i) * load(b + i);
  T sum = sum_lanes<T>(total);
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace ziptie::cpu
