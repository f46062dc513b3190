#include "engine/io/tensor_transfer.h"

#include <fmt/core.h>

#include <bit>
#include <cmath>
#include <cstring>

namespace ziptie {
namespace {

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
      return widen_each<std::uint16_t>(source, target, [](std::uint16_t x) {
        return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
      });
    default:
      throw std::invalid_argument(fmt::format("{} is no floating-point type", safetensors_name(dtype)));
  }
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

void load_tensor(const std::filesystem::path& file, const TensorInfo& source, const Tensor& target,
                 Backend& backend) {
  check_tensor(file, source, shape_of(target));
  std::vector<float> widened(static_cast<std::size_t>(target.elements()));
  if (const std::int64_t at = widen(source.bytes, source.dtype, widened); at >= 0) {
    throw FileError(fmt::format("{}: tensor '{}' holds {} at element {}; the weights are damaged",
                                file.string(), source.name, widened[static_cast<std::size_t>(at)], at));
  }
  backend.copy_to_device(target.data, widened.data(), widened.size() * sizeof(float));
}

void save_tensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                  const std::map<std::string, std::string>& metadata, Backend& backend) {
  std::vector<TensorLayout> layouts;
  for (const NamedTensor& tensor : tensors) {
    layouts.push_back({tensor.name, tensor.value.dtype, shape_of(tensor.value)});
  }
  write_safetensors(path, layouts, metadata, [&](std::size_t i, std::span<std::byte> bytes) {
    backend.copy_to_host(bytes.data(), tensors[i].value.data, bytes.size());
  });
}

}  // namespace ziptie
