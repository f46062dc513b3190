#pragma once
// Tensors between files and a model's device.

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/io/safetensors.h"

namespace ziptie {

/// A tensor on a device under the name that it has in a file.
struct NamedTensor {
  std::string name;
  Tensor value;
};

/// The values of a float tensor of any width, as float32. @throws FileError when it is none, or a number is
/// not finite
std::vector<float> read_tensor(const std::filesystem::path& file, const TensorInfo& source);

/// Reads a float tensor of any width into `target`, as float32.
/// @throws FileError when the shapes or types do not fit, or a number is not finite
void load_tensor(const std::filesystem::path& file, const TensorInfo& source, const Tensor& target,
                 Backend& backend);

/// Writes tensors as they are. @throws FileError
void save_tensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                  const std::map<std::string, std::string>& metadata, Backend& backend);

/// @throws FileError when `source` is no float tensor of that shape
void check_tensor(const std::filesystem::path& file, const TensorInfo& source,
                  std::span<const std::int64_t> shape);

/// Widens `source` (F32, F16, BF16 or F64) into `target`; returns the index of the first number that is not
/// finite, or -1.
std::int64_t widen(std::span<const std::byte> source, DType dtype, std::span<float> target);

/// Writes `source` as `dtype` (F32, F16, BF16 or F64), to the nearest, ties to even; returns the index of the
/// first number that is too large for it, or -1.
std::int64_t narrow(std::span<const float> source, DType dtype, std::span<std::byte> target);

/// Rounds every number to what `dtype` can hold; returns what `narrow` does.
std::int64_t round_to(DType dtype, std::span<float> values);

}  // namespace ziptie
