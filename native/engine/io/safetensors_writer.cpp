#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/io/durable_file.h"
#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

std::uint64_t bytes_of(const TensorLayout& tensor) {
  std::uint64_t bytes = size_of(tensor.dtype);
  for (const std::int64_t length : tensor.shape) bytes *= static_cast<std::uint64_t>(length);
  return bytes;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorLayout> tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<void(std::size_t, std::span<std::byte>)>& fetch) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return tensors[a].name < tensors[b].name; });

  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0, largest = 0;
  for (const std::size_t i : order) {
    const TensorLayout& tensor = tensors[i];
    if (header.contains(tensor.name)) {
      throw FileError(fmt::format("{}: tensor '{}' is to be written twice", path.string(), tensor.name));
    }
    const std::uint64_t bytes = bytes_of(tensor);
    header[tensor.name] = {{"dtype", safetensors_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {at, at + bytes}}};
    at += bytes;
    largest = std::max(largest, bytes);
  }
  std::string header_text = header.dump();
  header_text.resize((header_text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  const std::uint64_t header_bytes = header_text.size();

  DurableFile file(path);
  file.write(std::as_bytes(std::span(&header_bytes, 1)));
  file.write(header_text);
  std::vector<std::byte> contents(largest);
  for (const std::size_t i : order) {
    const auto bytes = std::span(contents).first(bytes_of(tensors[i]));
    fetch(i, bytes);
    file.write(bytes);
  }
  file.finish();
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorContents> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorLayout> layouts;
  for (const TensorContents& tensor : tensors) {
    layouts.push_back({tensor.name, tensor.dtype, tensor.shape});
    if (tensor.bytes.size() != bytes_of(layouts.back())) {
      throw FileError(fmt::format("{}: tensor '{}' of shape {} comes with {} bytes", path.string(),
                                  tensor.name, shape_text(tensor.shape), tensor.bytes.size()));
    }
  }
  write_safetensors(path, layouts, metadata, [&](std::size_t i, std::span<std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(bytes.data(), tensors[i].bytes.data(), bytes.size());
  });
}

}  // namespace ziptie
