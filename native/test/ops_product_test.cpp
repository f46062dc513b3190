// The product by wide vectors, compiled here for the instructions that every machine has.

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "engine/backend/cpu/product.h"
#include "engine/backend/cpu/product_wide.h"

using namespace ziptie::cpu;

TEST_CASE("wide vectors give the same bits as narrow ones, for any number of rows") {
  std::mt19937 random(std::random_device{}());
  std::normal_distribution<float> normal;
  for (std::int64_t m = 1; m <= 26; ++m)
    for (const bool transposed : {false, true})
      for (const bool add : {false, true}) {
        const std::int64_t k = 37, stride = 45, n = 32;
        std::vector<float> a(stride * stride), b(packed_elements<float>(k, n)), c(m * stride);
        for (auto* values : {&a, &b, &c})
          for (float& value : *values) value = normal(random);
        auto expected = c;
        multiply<float>(m, n, k, {a.data(), stride, transposed}, b.data(), k, add, {expected.data(), stride});
        multiply_two_panels(m, k, a.data(), transposed ? 1 : stride, transposed ? stride : 1, b.data(),
                            k * panel_columns<float>, add, c.data(), stride);
        for (std::int64_t i = 0; i < m; ++i)
          for (std::int64_t j = 0; j < n; ++j) CHECK(c[i * stride + j] == expected[i * stride + j]);
      }
}
