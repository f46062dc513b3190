#pragma once
// Tensors between files and a model's device.

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/io/interruption.h"
#include "engine/io/safetensors.h"

namespace ziptie {

/// A tensor on a device under the name that it has in a file.
struct NamedTensor {
  std::string name;
  Tensor value;
  bool transposed = false;  ///< the file holds the transpose of `value`, an f32 matrix

  std::vector<std::int64_t> file_shape() const;
};

/// The values of a float tensor of any width, as float32. @throws FileError when it is none, or a number is
/// not finite
std::vector<float> read_tensor(const SafetensorsFile& file, const TensorInfo& source,
                               const InterruptionPoint& interruption = {});

/// The values of one tensor that a file holds under each of `names`, some of them perhaps turned over: a tied
/// pair. As float32 in the order of `NamedTensor::value`.
/// @throws FileError naming the tensor when it is missing, the shapes or types do not fit, a number is not
/// finite, or what two names hold differs
std::vector<float> read_shared_tensor(const SafetensorsFile& file, std::span<const NamedTensor> names,
                                      const InterruptionPoint& interruption = {});

/// Reads the contents of `source` as they are to `target` on a device, which has room for them.
void load_bytes(const SafetensorsFile& file, const TensorInfo& source, void* target, Backend& backend,
                const InterruptionPoint& interruption = {});

/// Writes tensors as they are. @throws FileError
void save_tensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                  const std::map<std::string, std::string>& metadata, Backend& backend);

/// @throws FileError when `source` is no float tensor of that shape
void check_tensor(const std::filesystem::path& file, const TensorInfo& source,
                  std::span<const std::int64_t> shape);

/// A matrix [rows, columns] in row-major order, turned over.
std::vector<float> transposed(std::span<const float> matrix, std::int64_t rows, std::int64_t columns);

/// Widens `source` (F32, F16, BF16 or F64) into `target`; returns the index of the first number that is not
/// finite, or -1.
std::int64_t widen(std::span<const std::byte> source, DType dtype, std::span<float> target);

/// Writes `source` as `dtype` (F32, F16, BF16 or F64), to the nearest, ties to even; returns the index of the
/// first number that is too large for it, or -1.
std::int64_t narrow(std::span<const float> source, DType dtype, std::span<std::byte> target);

/// Rounds every number to what `dtype` can hold; returns what `narrow` does.
std::int64_t round_to(DType dtype, std::span<float> values);

}  // namespace ziptie
