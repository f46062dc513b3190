#include "engine/io/safetensors.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "engine/io/input_file.h"
#include "engine/io/json_object.h"

namespace ziptie {
namespace {

using nlohmann::json;

/// The limit of the reference implementation (huggingface/safetensors).
constexpr std::uint64_t longest_header = 100'000'000;

constexpr std::array<std::pair<const char*, DType>, 7> dtype_names = {{{"F32", DType::f32},
                                                                       {"F64", DType::f64},
                                                                       {"BF16", DType::bf16},
                                                                       {"F16", DType::f16},
                                                                       {"U8", DType::u8},
                                                                       {"U32", DType::u32},
                                                                       {"U64", DType::u64}}};

std::optional<DType> dtype_of(const std::string& name) {
  for (const auto& [text, dtype] : dtype_names) {
    if (name == text) return dtype;
  }
  return std::nullopt;
}

struct Extent {
  std::uint64_t begin, end;
  const std::string* name;
};

/// One entry of the header, whose offsets count from `data_begin`. @throws FileError without the file's name
TensorInfo read_entry(const std::string& name, const json& entry, std::uint64_t data_begin,
                      std::uint64_t data_bytes, Extent& extent) {
  const auto refuse = [&](const std::string& what) {
    return FileError(fmt::format("tensor '{}': {}", name, what));
  };
  if (!entry.is_object()) throw refuse("its entry is not an object");
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    if (!entry.contains(key)) throw refuse(fmt::format("its entry has no '{}'", key));
  }
  if (!entry["dtype"].is_string()) throw refuse("dtype is not a string");
  const auto dtype_name = entry["dtype"].get<std::string>();
  const auto dtype = dtype_of(dtype_name);
  if (!dtype) throw refuse(fmt::format("dtype {} is not supported", dtype_name));

  TensorInfo tensor{name, *dtype, {}};
  if (!entry["shape"].is_array()) throw refuse("shape is not an array");
  std::uint64_t bytes = size_of(*dtype);
  for (const json& length : entry["shape"]) {
    if (!length.is_number_unsigned() || length.get<std::uint64_t>() > INT64_MAX) {
      throw refuse(fmt::format("shape {} holds something other than lengths", entry["shape"].dump()));
    }
    tensor.shape.push_back(length.get<std::int64_t>());
    if (__builtin_mul_overflow(bytes, length.get<std::uint64_t>(), &bytes)) {
      throw refuse(fmt::format("shape {} is more than a file can hold", shape_text(tensor.shape)));
    }
  }

  const json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    throw refuse(fmt::format("data_offsets {} are not two byte offsets", offsets.dump()));
  }
  extent = {offsets[0], offsets[1], nullptr};
  if (extent.begin > extent.end || extent.end > data_bytes) {
    throw refuse(fmt::format(
        "data_offsets [{}, {}] do not lie within the {} bytes of data; the file is damaged or truncated",
        extent.begin, extent.end, data_bytes));
  }
  if (extent.end - extent.begin != bytes) {
    throw refuse(fmt::format("{} {} takes {} bytes, but data_offsets [{}, {}] span {}", dtype_name,
                             shape_text(tensor.shape), bytes, extent.begin, extent.end,
                             extent.end - extent.begin));
  }
  tensor.begin = data_begin + extent.begin;
  tensor.bytes = bytes;
  return tensor;
}

/// Every byte of data belongs to exactly one tensor.
void check_extents(std::vector<Extent>& extents, std::uint64_t data_bytes) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t end = 0;
  const std::string* before = nullptr;
  for (const Extent& extent : extents) {
    if (extent.begin < end)
      throw FileError(fmt::format("tensors '{}' and '{}' overlap", *before, *extent.name));
    if (extent.begin > end) {
      throw FileError(fmt::format("tensor '{}': {} bytes before it belong to no tensor", *extent.name,
                                  extent.begin - end));
    }
    end = extent.end;
    before = extent.name;
  }
  if (end != data_bytes)
    throw FileError(fmt::format("the last {} bytes belong to no tensor", data_bytes - end));
}

}  // namespace

const char* safetensors_name(DType dtype) {
  for (const auto& [text, candidate] : dtype_names) {
    if (candidate == dtype) return text;
  }
  throw std::invalid_argument("no such dtype");
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += fmt::format("{}{}", i > 0 ? ", " : "", shape[i]);
  return text + "]";
}

SafetensorsHeader read_safetensors_header(
    std::uint64_t file_bytes, const std::function<void(std::uint64_t, std::span<std::byte>)>& read) {
  std::uint64_t header_bytes = 0;
  if (file_bytes < sizeof header_bytes) {
    throw FileError(
        fmt::format("{} bytes are too few for a safetensors file; it is empty or truncated", file_bytes));
  }
  read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  if (header_bytes > longest_header || header_bytes > file_bytes - sizeof header_bytes) {
    throw FileError(
        fmt::format("its header claims {} bytes, the file has {}; it is truncated, or no safetensors file",
                    header_bytes, file_bytes));
  }
  std::string text(static_cast<std::size_t>(header_bytes), '\0');
  read(sizeof header_bytes, std::as_writable_bytes(std::span(text)));
  const std::uint64_t data_begin = sizeof header_bytes + header_bytes, data_bytes = file_bytes - data_begin;
  json header;
  try {
    header = parse_json(text);
  } catch (const FileError& error) {
    throw FileError(fmt::format("its header: {}", error.what()));
  }
  if (!header.is_object()) throw FileError("its header is not a JSON object");

  SafetensorsHeader parsed;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) throw FileError("__metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) throw FileError(fmt::format("__metadata__.{} is not a string", key));
        parsed.metadata.emplace(key, value.get<std::string>());
      }
      continue;
    }
    Extent extent{};
    const auto inserted =
        parsed.tensors.emplace(name, read_entry(name, entry, data_begin, data_bytes, extent)).first;
    extent.name = &inserted->first;
    extents.push_back(extent);
  }
  check_extents(extents, data_bytes);
  return parsed;
}

struct SafetensorsFile::State {
  explicit State(const std::filesystem::path& path)
      : file(path),
        header(read_safetensors_header(
            file.size(), [&](std::uint64_t at, std::span<std::byte> to) { file.read(at, to); })) {}

  InputFile file;
  SafetensorsHeader header;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) {
  try {
    state_ = std::make_unique<State>(path);
  } catch (const FileError& error) {
    const std::string what = error.what();
    // Errors of opening the file name it already.
    throw FileError(what.starts_with(path.string()) ? what : fmt::format("{}: {}", path.string(), what));
  }
}

SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;

const std::filesystem::path& SafetensorsFile::path() const { return state_->file.path(); }
const std::map<std::string, TensorInfo>& SafetensorsFile::tensors() const { return state_->header.tensors; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return state_->header.metadata;
}

const TensorInfo& SafetensorsFile::at(const std::string& name) const {
  const auto found = state_->header.tensors.find(name);
  if (found == state_->header.tensors.end()) {
    throw FileError(fmt::format("{}: there is no tensor '{}'", path().string(), name));
  }
  return found->second;
}

void SafetensorsFile::read(const TensorInfo& tensor, std::uint64_t first, std::span<std::byte> to) const {
  if (first > tensor.bytes || to.size() > tensor.bytes - first)
    throw std::out_of_range(fmt::format("tensor '{}' has {} bytes", tensor.name, tensor.bytes));
  state_->file.read(tensor.begin + first, to);
}

std::vector<std::byte> SafetensorsFile::read(const TensorInfo& tensor) const {
  std::vector<std::byte> contents(tensor.bytes);
  read(tensor, 0, contents);
  return contents;
}

}  // namespace ziptie
