#pragma once
// Tensors on a backend for tests: outputs are poisoned with NaN, and comparisons fail on NaN.

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/backend/backend.h"

namespace ziptie {

using Values = std::vector<double>;

/// ‖a − b‖ / ‖b‖; NaN where either holds NaN, +∞ where sizes differ.
inline double relative_error(const Values& a, const Values& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference) / std::sqrt(norm);
}

/// A backend with tensors of one type. Inputs differ from run to run; a failing case prints its seed.
class OpsFixture {
 public:
  OpsFixture(std::unique_ptr<Backend> backend, DType dtype)
      : backend(std::move(backend)), dtype(dtype), seed(std::random_device{}()), random_(seed) {}

  std::unique_ptr<Backend> backend;
  DType dtype;
  unsigned seed;

  double tolerance() const { return dtype == DType::f64 ? 1e-12 : 2e-6; }

  Tensor tensor(std::initializer_list<std::int64_t> shape, const Values& values) {
    const Tensor made = allocate(dtype, shape);
    REQUIRE(static_cast<std::int64_t>(values.size()) == made.elements());
    set(made, values);
    return made;
  }
  Tensor random(std::initializer_list<std::int64_t> shape, double scale = 1) {
    const Tensor made = allocate(dtype, shape);
    Values values(made.elements());
    std::normal_distribution<double> normal(0, scale);
    for (double& value : values) value = normal(random_);
    set(made, values);
    return made;
  }
  Tensor poisoned(std::initializer_list<std::int64_t> shape) {
    const Tensor made = allocate(dtype, shape);
    set(made, Values(made.elements(), std::numeric_limits<double>::quiet_NaN()));
    return made;
  }
  Tensor zeros(std::initializer_list<std::int64_t> shape) { return allocate(dtype, shape); }
  Tensor indices(const std::vector<std::uint32_t>& values) {
    const Tensor made = allocate(DType::u32, {static_cast<std::int64_t>(values.size())});
    backend->copy_to_device(made.data, values.data(), values.size() * sizeof(std::uint32_t));
    return made;
  }
  std::vector<std::uint32_t> random_indices(std::size_t count, std::uint32_t below) {
    std::vector<std::uint32_t> values(count);
    for (auto& value : values) value = std::uniform_int_distribution<std::uint32_t>(0, below - 1)(random_);
    return values;
  }
  /// `x` rounded to bfloat16; `x` becomes what was rounded to.
  Tensor narrowed(const Tensor& x) {
    const Tensor made = allocate(DType::bf16, {x.shape[0], x.shape[1]});
    Values wide = values(x);
    std::vector<std::uint16_t> bits;
    for (double& value : wide) {
      const auto all = std::bit_cast<std::uint32_t>(static_cast<float>(value));
      bits.push_back(static_cast<std::uint16_t>((all + 0x7FFF + (all >> 16 & 1)) >> 16));
      value = std::bit_cast<float>(static_cast<std::uint32_t>(bits.back()) << 16);
    }
    backend->copy_to_device(made.data, bits.data(), bits.size() * sizeof(std::uint16_t));
    set(x, wide);
    return made;
  }
  /// Room for `rows` rows of `in` elements in NF4, all bytes 0xFF.
  Nf4 nf4(std::int64_t first_output, std::int64_t rows, std::int64_t in, bool nested) {
    const std::int64_t blocks = (rows * in + 63) / 64;
    const auto made = [&](DType type, std::int64_t n) {
      const Tensor tensor = allocate(type, {n});
      const std::vector<std::uint8_t> bytes(n * size_of(type), 0xFF);
      backend->copy_to_device(tensor.data, bytes.data(), bytes.size());
      return tensor;
    };
    Nf4 empty{first_output, rows, made(DType::u8, (rows * in + 1) / 2), {}, {}, {}};
    empty.absmax = made(nested ? DType::u8 : DType::f32, blocks);
    if (nested) empty.nested_absmax = made(DType::f32, (blocks + 255) / 256);
    if (nested) empty.nested_offset = made(DType::f32, 1);
    return empty;
  }
  /// A poisoned tensor of f32, whatever the fixture's type.
  Tensor floats(std::initializer_list<std::int64_t> shape) {
    const Tensor made = allocate(DType::f32, shape);
    set(made, Values(made.elements(), std::numeric_limits<double>::quiet_NaN()));
    return made;
  }
  std::vector<std::uint8_t> bytes(const Tensor& x) const {
    std::vector<std::uint8_t> copied(x.elements() * size_of(x.dtype));
    backend->copy_to_host(copied.data(), x.data, copied.size());
    return copied;
  }
  Sequences sequences(const std::vector<std::uint32_t>& lengths) {
    std::vector<std::uint32_t> offsets{0};
    Sequences made;
    for (const std::uint32_t length : lengths) {
      offsets.push_back(offsets.back() + length);
      made.longest = std::max<std::int64_t>(made.longest, length);
    }
    made.offsets = indices(offsets);
    made.count = static_cast<std::int64_t>(lengths.size());
    return made;
  }

  /// What `clip_scale` leaves behind: a norm and a factor.
  Tensor clip(double norm, double scale) {
    const Tensor made = allocate(DType::f64, {2});
    set(made, {norm, scale});
    return made;
  }

  /// What the tensor holds; f32 as it was rounded.
  Values values(const Tensor& x) const {
    Values wide(x.elements());
    if (x.dtype == DType::f64) {
      backend->copy_to_host(wide.data(), x.data, wide.size() * sizeof(double));
      return wide;
    }
    std::vector<float> narrow(wide.size());
    backend->copy_to_host(narrow.data(), x.data, narrow.size() * sizeof(float));
    return Values(narrow.begin(), narrow.end());
  }
  void set(const Tensor& x, const Values& values) const {
    if (x.dtype == DType::f64) {
      backend->copy_to_device(x.data, values.data(), values.size() * sizeof(double));
      return;
    }
    const std::vector<float> narrow(values.begin(), values.end());
    backend->copy_to_device(x.data, narrow.data(), narrow.size() * sizeof(float));
  }

  /// `gradient` against central differences of `loss` with respect to every element of `x`, in float64.
  void check_gradient(const char* of, const std::function<double()>& loss, const Tensor& x,
                      const Tensor& gradient) {
    REQUIRE(dtype == DType::f64);
    const Values at = values(x);
    Values numeric(at.size());
    constexpr double step = 1e-5;
    for (std::size_t i = 0; i < at.size(); ++i) {
      Values moved = at;
      moved[i] = at[i] + step;
      set(x, moved);
      const double above = loss();
      moved[i] = at[i] - step;
      set(x, moved);
      numeric[i] = (above - loss()) / (2 * step);
    }
    set(x, at);
    INFO("gradient of ", of, ", seed ", seed);
    CHECK(relative_error(values(gradient), numeric) < 1e-7);
  }

  /// Σ weights · x.
  double weighted_sum(const Tensor& x, const Tensor& weights) const {
    const Values a = values(x), b = values(weights);
    double total = 0;
    for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
    return total;
  }

 private:
  Tensor allocate(DType type, std::initializer_list<std::int64_t> shape) {
    Tensor made{nullptr, type, static_cast<int>(shape.size()), {}};
    std::copy(shape.begin(), shape.end(), made.shape.begin());
    std::int64_t elements = 1;
    for (const std::int64_t extent : shape) elements *= extent;
    buffers_.push_back(backend->allocate(elements * size_of(type)));
    made.data = buffers_.back().data();
    return made;
  }

  std::mt19937_64 random_;
  std::vector<Buffer> buffers_;
};

/// Runs `test` on every backend that is here, in each type it computes in.
inline void on_every_backend(const std::function<void(OpsFixture&)>& test) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    OpsFixture fixture(make_cpu_backend(2), dtype);
    INFO(fixture.backend->description(), dtype == DType::f64 ? " in f64" : " in f32", ", seed ",
         fixture.seed);
    test(fixture);
  }
}

}  // namespace ziptie
