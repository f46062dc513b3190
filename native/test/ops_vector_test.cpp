// What kernels are written in: vectors, and functions of their lanes.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/backend/cpu/vector.h"

using namespace ziptie::cpu;

namespace {

/// The distance between `found` and `exact` in units of the last place of a float.
double ulps(float found, double exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::abs(found - exact) / std::ldexp(1.0, exponent - 24);
}

float exponential2_of(float x) { return exponential2(broadcast(x))[0]; }

}  // namespace

TEST_CASE("two to the power of a float is within 3 ulp") {
  double worst = 0;
  for (float x = -126; x < 128; x += 0.00731f)
    worst = std::max(worst, ulps(exponential2_of(x), std::exp2(double(x))));
  for (float x = -1e-3f; x < 1e-3f; x += 1.7e-6f)
    worst = std::max(worst, ulps(exponential2_of(x), std::exp2(double(x))));
  CHECK(worst < 3);
}

TEST_CASE("two to the power of what is no ordinary number") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(exponential2_of(-infinity) < 2e-38f);
  CHECK(exponential2_of(-1e30f) < 2e-38f);
  CHECK(std::isnan(exponential2_of(std::numeric_limits<float>::quiet_NaN())));
  CHECK(std::isnan(exponential2_of(infinity - infinity)));
}

TEST_CASE("the logistic function is within 1e-6, wherever it is asked for") {
  for (float x = -100; x < 100; x += 0.0137f)
    CHECK(std::abs(sigmoid<float>(broadcast(x))[0] - 1 / (1 + std::exp(-double(x)))) < 1e-6);
  CHECK(sigmoid<float>(broadcast(1e30f))[0] == 1);
  CHECK(sigmoid<float>(broadcast(-1e30f))[0] < 1e-37f);
  CHECK(std::isnan(sigmoid<float>(broadcast(std::numeric_limits<float>::quiet_NaN()))[0]));
}

TEST_CASE_TEMPLATE("part of a vector is loaded and stored, and nothing beyond it touched", T, float, double) {
  for (int n = 0; n < lanes<T>; ++n) {
    std::vector<T> from(n, T{3}), to(lanes<T>, T{-1});
    const auto v = load(from.data(), n);
    for (int i = 0; i < lanes<T>; ++i) CHECK(v[i] == (i < n ? T{3} : T{0}));
    Vector<T> counted;
    for (int i = 0; i < lanes<T>; ++i) counted[i] = static_cast<T>(i);
    store<T>(to.data(), counted, n);
    for (int i = 0; i < lanes<T>; ++i) CHECK(to[i] == (i < n ? static_cast<T>(i) : T{-1}));
  }
}

TEST_CASE_TEMPLATE("a block is transposed and scaled", T, float, double) {
  constexpr int n = lanes<T>, from_row = n + 3, to_row = n + 1;
  std::vector<T> from(n * from_row), to(n * to_row);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<T>(i);
  transpose_block(from.data(), from_row, T{2}, to.data(), to_row);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) CHECK(to[j * to_row + i] == 2 * from[i * from_row + j]);
}
