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

/// A tensor as the header of its file describes it.
struct TensorInfo {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  ///< of its contents within the file
  std::uint64_t bytes = 0;  ///< that its contents take
};

struct SafetensorsHeader {
  std::map<std::string, TensorInfo> tensors;  ///< by name
  std::map<std::string, std::string> metadata;
};

/// Reads the header of a safetensors file of `file_bytes` bytes, of which `read(at, to)` gives those at `at`.
/// Every offset is checked against their number; gaps and overlaps are refused.
/// @throws FileError naming the tensor, but not the file
SafetensorsHeader read_safetensors_header(
    std::uint64_t file_bytes, const std::function<void(std::uint64_t at, std::span<std::byte> to)>& read);

/// A safetensors file, open.
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
  /// Fills `to` with the contents of one of its tensors from byte `first` on; from any number of threads at a
  /// time. @throws FileError, e.g. when the file has been cut short since it was opened
  void read(const TensorInfo& tensor, std::uint64_t first, std::span<std::byte> to) const;
  /// All of them.
  std::vector<std::byte> read(const TensorInfo& tensor) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A tensor to be written.
struct TensorContents {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes `tensors` in name order to `path` and syncs it (not atomically: the caller writes aside and
/// renames).
/// @throws FileError with the system's reason, e.g. a full disk
void write_safetensors(const std::filesystem::path& path, std::span<const TensorContents> tensors,
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
