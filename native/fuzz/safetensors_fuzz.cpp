// The reader of safetensors files, and of the numbers in them.
#include <algorithm>
#include <cstring>

#include "engine/io/safetensors.h"
#include "engine/io/tensor_transfer.h"
#include "fuzz/target.h"

using namespace ziptie;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  SafetensorsHeader header;
  try {
    header = read_safetensors_header(size, [&](std::uint64_t at, std::span<std::byte> to) {
      require(at <= size && to.size() <= size - at, "what is read lies outside the file");
      std::ranges::copy(file.subspan(at, to.size()), to.begin());
    });
  } catch (const FileError&) {
    return 0;
  }
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : header.tensors) {
    require(tensor.begin <= size && tensor.bytes <= size - tensor.begin, "a tensor lies outside its file");
    bytes += tensor.bytes;
    if (tensor.dtype == DType::f32 || tensor.dtype == DType::f64 || tensor.dtype == DType::f16 ||
        tensor.dtype == DType::bf16) {
      std::vector<float> widened(tensor.bytes / size_of(tensor.dtype));
      (void)widen(file.subspan(tensor.begin, tensor.bytes), tensor.dtype, widened);
    }
    (void)shape_text(tensor.shape);
  }
  require(bytes <= size, "the tensors hold more than their file");
  return 0;
}

std::vector<std::string> seeds() {
  const auto file = [](const std::string& header, std::size_t data_bytes) {
    const std::uint64_t length = header.size();
    std::string contents(sizeof length, '\0');
    std::memcpy(contents.data(), &length, sizeof length);
    return contents + header + std::string(data_bytes, '\x3f');
  };
  return {
      file("{}", 0),
      file(R"({"__metadata__":{"format":"pt"}})", 0),
      file(
          R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}})",
          32),
      file(
          R"({"a":{"dtype":"F16","shape":[1,2,2,1],"data_offsets":[0,8]},"b":{"dtype":"F64","shape":[],"data_offsets":[8,16]}})",
          16),
      file(
          R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U64","shape":[0],"data_offsets":[3,3]},"c":{"dtype":"U32","shape":[1],"data_offsets":[3,7]}})",
          7),
  };
}
