#pragma once
// 32-byte vectors of float or double, so that one kernel text serves both types.

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

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
/// The first `n` lanes; the others are zero.
template <class T>
inline Vector<T> load(const T* from, std::int64_t n) {
  Vector<T> v{};
  std::memcpy(&v, from, n * sizeof(T));
  return v;
}
template <class T>
inline void store(T* to, Vector<T> v) {
  std::memcpy(to, &v, sizeof v);
}
template <class T>
inline void store(T* to, Vector<T> v, std::int64_t n) {
  std::memcpy(to, &v, n * sizeof(T));
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
  typedef std::int32_t Integers __attribute__((vector_size(32)));
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

/// f(first index, lanes in use) over [0, n) in vectors.
template <class T, class F>
inline void for_vectors(std::int64_t n, F&& f) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) f(i, std::integral_constant<int, lanes<T>>{});
  if (i < n) f(i, n - i);
}

}  // namespace ziptie::cpu
