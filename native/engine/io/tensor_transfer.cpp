#include "engine/io/tensor_transfer.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/backend/bfloat16.h"

namespace ziptie {
namespace {

/// Bytes that are read from a file at a time: enough that the system's calls cost nothing, little enough that
/// they stay in a cache until they are widened.
constexpr std::size_t largest_piece = 1 << 20;

/// IEEE 754 binary16 to binary32; exact.
float from_f16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1f, fraction = half & 0x3ff;
  if (exponent == 0) {  // zero and subnormals: fraction · 2⁻²⁴
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide_exponent = exponent == 0x1f ? 0xff : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide_exponent << 23 | fraction << 13);
}

/// To the nearest, ties to even; what is too large becomes infinite.
std::uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::abs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;  // half way to what would follow the largest
  if (magnitude < 0x1p-14f) {                    // subnormal: a multiple of 2⁻²⁴
    return sign | static_cast<std::uint16_t>(std::nearbyint(magnitude * 0x1p24f));
  }
  // Rounding may carry into the exponent, which is as it should be.
  const std::uint32_t rebiased = (bits & 0x7fffffff) - ((127u - 15u) << 23);
  return sign | static_cast<std::uint16_t>((rebiased + 0xfff + (rebiased >> 13 & 1)) >> 13);
}

template <class Bits, class Convert>
std::int64_t narrow_each(std::span<const float> source, std::span<std::byte> target, Convert convert) {
  std::int64_t too_large = -1;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const Bits bits = convert(source[i]);
    std::memcpy(target.data() + i * sizeof bits, &bits, sizeof bits);
    if constexpr (sizeof bits == 2) {
      const std::uint16_t infinity = convert(INFINITY);
      if ((bits & 0x7fff) == infinity && too_large < 0) too_large = static_cast<std::int64_t>(i);
    }
  }
  return too_large;
}

template <class Bits, class Convert>
std::int64_t widen_each(std::span<const std::byte> source, std::span<float> target, Convert convert) {
  std::int64_t not_finite = -1;
  for (std::size_t i = 0; i < target.size(); ++i) {
    Bits bits;
    std::memcpy(&bits, source.data() + i * sizeof bits, sizeof bits);
    target[i] = convert(bits);
    if (!std::isfinite(target[i]) && not_finite < 0) not_finite = static_cast<std::int64_t>(i);
  }
  return not_finite;
}

std::vector<std::int64_t> shape_of(const Tensor& tensor) {
  return {tensor.shape.begin(), tensor.shape.begin() + tensor.rank};
}

}  // namespace

std::int64_t widen(std::span<const std::byte> source, DType dtype, std::span<float> target) {
  switch (dtype) {
    case DType::f32:
      return widen_each<float>(source, target, [](float x) { return x; });
    case DType::f64:
      return widen_each<double>(source, target, [](double x) { return static_cast<float>(x); });
    case DType::f16:
      return widen_each<std::uint16_t>(source, target, from_f16);
    case DType::bf16:
      return widen_each<std::uint16_t>(source, target, from_bf16);
    default:
      throw std::invalid_argument(fmt::format("{} is no floating-point type", safetensors_name(dtype)));
  }
}

std::int64_t narrow(std::span<const float> source, DType dtype, std::span<std::byte> target) {
  switch (dtype) {
    case DType::f32:
      return narrow_each<float>(source, target, [](float x) { return x; });
    case DType::f64:
      return narrow_each<double>(source, target, [](float x) { return static_cast<double>(x); });
    case DType::f16:
      return narrow_each<std::uint16_t>(source, target, to_f16);
    case DType::bf16:
      return narrow_each<std::uint16_t>(source, target, to_bf16);
    default:
      throw std::invalid_argument(fmt::format("{} is no floating-point type", safetensors_name(dtype)));
  }
}

std::int64_t round_to(DType dtype, std::span<float> values) {
  std::vector<std::byte> rounded(values.size() * size_of(dtype));
  const std::int64_t too_large = narrow(values, dtype, rounded);
  (void)widen(rounded, dtype, values);
  return too_large;
}

void check_tensor(const std::filesystem::path& file, const TensorInfo& source,
                  std::span<const std::int64_t> shape) {
  if (!std::equal(source.shape.begin(), source.shape.end(), shape.begin(), shape.end())) {
    throw FileError(fmt::format("{}: tensor '{}' has shape {}, the model needs {}", file.string(),
                                source.name, shape_text(source.shape), shape_text(shape)));
  }
  switch (source.dtype) {
    case DType::f32:
    case DType::f64:
    case DType::f16:
    case DType::bf16:
      return;
    default:
      throw FileError(fmt::format("{}: tensor '{}' is {}, not floating-point", file.string(), source.name,
                                  safetensors_name(source.dtype)));
  }
}

std::vector<float> transposed(std::span<const float> matrix, std::int64_t rows, std::int64_t columns) {
  std::vector<float> turned(matrix.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column)
      turned[column * rows + row] = matrix[row * columns + column];
  }
  return turned;
}

std::vector<std::int64_t> NamedTensor::file_shape() const {
  if (transposed) return {value.shape[1], value.shape[0]};
  return shape_of(value);
}

std::vector<float> read_tensor(const SafetensorsFile& file, const TensorInfo& source,
                               const InterruptionPoint& interruption) {
  check_tensor(file.path(), source, source.shape);
  const std::size_t width = size_of(source.dtype);
  std::vector<float> values(source.bytes / width);
  std::vector<std::byte> piece(std::min<std::uint64_t>(source.bytes, largest_piece));
  for (std::size_t at = 0; at < values.size();) {
    pass(interruption);
    const std::size_t count = std::min(piece.size() / width, values.size() - at);
    const auto bytes = std::span(piece).first(count * width);
    file.read(source, at * width, bytes);
    if (const std::int64_t found = widen(bytes, source.dtype, std::span(values).subspan(at, count));
        found >= 0) {
      const std::size_t element = at + static_cast<std::size_t>(found);
      throw FileError(fmt::format("{}: tensor '{}' holds {} at element {}; the weights are damaged",
                                  file.path().string(), source.name, values[element], element));
    }
    at += count;
  }
  return values;
}

std::vector<float> read_shared_tensor(const SafetensorsFile& file, std::span<const NamedTensor> names,
                                      const InterruptionPoint& interruption) {
  std::vector<float> values;
  for (const NamedTensor& tensor : names) {
    const TensorInfo& source = file.at(tensor.name);
    const auto shape = tensor.file_shape();
    check_tensor(file.path(), source, shape);
    auto read = read_tensor(file, source, interruption);
    if (tensor.transposed) read = transposed(read, shape[0], shape[1]);
    if (!values.empty() && values != read) {
      throw FileError(fmt::format("{}: tensors '{}' and '{}' are one in this tied model, but they differ",
                                  file.path().string(), names[0].name, tensor.name));
    }
    values = std::move(read);
  }
  return values;
}

void load_bytes(const SafetensorsFile& file, const TensorInfo& source, void* target, Backend& backend,
                const InterruptionPoint& interruption) {
  std::vector<std::byte> piece(std::min<std::uint64_t>(source.bytes, largest_piece));
  for (std::uint64_t at = 0; at < source.bytes;) {
    pass(interruption);
    const auto bytes = std::span(piece).first(std::min<std::uint64_t>(piece.size(), source.bytes - at));
    file.read(source, at, bytes);
    backend.copy_to_device(static_cast<std::byte*>(target) + at, bytes.data(), bytes.size());
    at += bytes.size();
  }
}

void save_tensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                  const std::map<std::string, std::string>& metadata, Backend& backend) {
  std::vector<TensorLayout> layouts;
  for (const NamedTensor& tensor : tensors) {
    layouts.push_back({tensor.name, tensor.value.dtype, tensor.file_shape()});
  }
  write_safetensors(path, layouts, metadata, [&](std::size_t i, std::span<std::byte> bytes) {
    const NamedTensor& tensor = tensors[i];
    backend.copy_to_host(bytes.data(), tensor.value.data, bytes.size());
    if (!tensor.transposed) return;
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    values = transposed(values, tensor.value.shape[0], tensor.value.shape[1]);
    std::memcpy(bytes.data(), values.data(), bytes.size());
  });
}

}  // namespace ziptie
