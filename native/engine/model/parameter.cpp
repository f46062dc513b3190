#include "engine/model/parameter.h"

#include <stdexcept>

#include "engine/backend/bfloat16.h"

namespace ziptie {

namespace {

/// f32 device memory in the shape of `parameter`.
struct Unquantized {
  Buffer buffer;
  Tensor tensor;

  Unquantized(const Parameter& parameter, Backend& backend)
      : buffer(backend.allocate(parameter.elements() * sizeof(float))), tensor(parameter.value) {
    tensor.data = buffer.data();
    tensor.dtype = DType::f32;
  }
};

}  // namespace

std::int64_t Parameter::elements() const {
  std::int64_t product = 1;
  for (int i = 0; i < value.rank; ++i) product *= value.shape[i];
  return product;
}

void write_parameter(const Parameter& parameter, std::span<const float> values, Backend& backend) {
  const Tensor& value = parameter.value;
  if (static_cast<std::int64_t>(values.size()) != parameter.elements())
    throw std::invalid_argument(parameter.name + ": " + std::to_string(values.size()) + " values for " +
                                std::to_string(parameter.elements()) + " elements");
  if (parameter.quantized) {
    const Unquantized whole(parameter, backend);
    backend.copy_to_device(whole.tensor.data, values.data(), values.size_bytes());
    backend.quantize_nf4(whole.tensor, *parameter.quantized);
  } else if (value.dtype == DType::bf16) {
    std::vector<std::uint16_t> rounded(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) rounded[i] = to_bf16(values[i]);
    backend.copy_to_device(value.data, rounded.data(), rounded.size() * sizeof(std::uint16_t));
  } else if (value.dtype == DType::f64) {
    const std::vector<double> wide(values.begin(), values.end());
    backend.copy_to_device(value.data, wide.data(), wide.size() * sizeof(double));
  } else {
    backend.copy_to_device(value.data, values.data(), values.size_bytes());
  }
}

std::vector<float> read_parameter(const Parameter& parameter, Backend& backend) {
  const Tensor& value = parameter.value;
  std::vector<float> values(parameter.elements());
  if (parameter.quantized) {
    const Unquantized whole(parameter, backend);
    backend.dequantize_nf4(*parameter.quantized, whole.tensor);
    backend.copy_to_host(values.data(), whole.tensor.data, values.size() * sizeof(float));
  } else if (value.dtype == DType::bf16) {
    std::vector<std::uint16_t> narrow(values.size());
    backend.copy_to_host(narrow.data(), value.data, narrow.size() * sizeof(std::uint16_t));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = from_bf16(narrow[i]);
  } else if (value.dtype == DType::f64) {
    std::vector<double> wide(values.size());
    backend.copy_to_host(wide.data(), value.data, wide.size() * sizeof(double));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(wide[i]);
  } else {
    backend.copy_to_host(values.data(), value.data, values.size() * sizeof(float));
  }
  return values;
}

}  // namespace ziptie
