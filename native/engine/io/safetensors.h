#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/backend/backend.h"

namespace ziptie {

/// Something wrong with a file: says the file, the tensor or key, what was found and what to do.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct TensorInfo {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< into the mapped file; not aligned
};

struct SafetensorsContents {
  std::map<std::string, TensorInfo> tensors;  ///< by name; their bytes are views
  std::map<std::string, std::string> metadata;
};

/// Reads the header of a safetensors file that lies in `bytes`. Every offset is checked against their number;
/// gaps and overlaps are refused.
/// @throws FileError naming the tensor, but not the file
SafetensorsContents parse_safetensors(std::span<const std::byte> bytes);

/// A safetensors file, memory-mapped.
class SafetensorsFile {
 public:
  /// @throws FileError naming the file and the tensor
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;

  const std::filesystem::path& path() const;
  const std::map<std::string, TensorInfo>& tensors() const;
  const std::map<std::string, std::string>& metadata() const;
  /// @throws FileError when there is no such tensor
  const TensorInfo& at(const std::string& name) const;
  /// Takes a tensor that has been read out of memory; read again it comes from the file again.
  void release(const TensorInfo& tensor) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes `tensors` in name order to `path` and syncs it (not atomically: the caller writes aside and
/// renames).
/// @throws FileError with the system's reason, e.g. a full disk
void write_safetensors(const std::filesystem::path& path, std::span<const TensorInfo> tensors,
                       const std::map<std::string, std::string>& metadata);

/// What a tensor to be written looks like before its contents are at hand.
struct TensorLayout {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
};

/// The same for tensors that lie elsewhere: one at a time, `fetch(i, bytes)` puts the contents of
/// `tensors[i]` into `bytes`.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorLayout> tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<void(std::size_t, std::span<std::byte>)>& fetch);

/// `F32`, `BF16`, …: safetensors' name of a type.
const char* safetensors_name(DType dtype);

/// `[2, 3]`, for messages.
std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace ziptie
