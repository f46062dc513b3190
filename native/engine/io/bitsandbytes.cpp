#include "engine/io/bitsandbytes.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "engine/backend/dynamic_map.h"
#include "engine/backend/nf4_table.h"
#include "engine/io/tensor_transfer.h"

namespace ziptie {
namespace {

constexpr const char* nf4_state = ".quant_state.bitsandbytes__nf4";
constexpr const char* fp4_state = ".quant_state.bitsandbytes__fp4";

/// Bytes of what bitsandbytes says of a weight, which are some hundred.
constexpr std::uint64_t largest_state = 64 << 10;

std::string where(const StoredTensor& tensor) {
  return fmt::format("{}: tensor '{}'", tensor.file->path().string(), tensor.info->name);
}

std::int64_t blocks(std::int64_t elements, std::int64_t block) { return (elements + block - 1) / block; }

/// A tensor that the weight `of` cannot do without.
StoredTensor companion(const WeightFiles& files, const StoredTensor& of, const char* suffix) {
  const std::string name = of.info->name + suffix;
  const StoredTensor* found = files.find(name);
  if (found == nullptr)
    throw FileError(fmt::format("{}: there is no '{}', which its codes need", where(of), name));
  return *found;
}

void check_layout(const StoredTensor& tensor, DType dtype, std::int64_t elements) {
  const auto bytes = static_cast<std::size_t>(elements) * size_of(dtype);
  if (tensor.info->dtype == dtype && tensor.info->bytes == bytes) return;
  throw FileError(fmt::format("{} is {} {}, the quantised weight needs {} of {} elements", where(tensor),
                              safetensors_name(tensor.info->dtype), shape_text(tensor.info->shape),
                              safetensors_name(dtype), elements));
}

/// Other tables would be other data types under the same name.
void check_table(const StoredTensor& tensor, std::span<const float> expected) {
  check_layout(tensor, DType::f32, static_cast<std::int64_t>(expected.size()));
  if (!std::ranges::equal(tensor.file->read(*tensor.info), std::as_bytes(expected))) {
    throw FileError(
        fmt::format("{} is not bitsandbytes' table of codes; quantise the model again with a current "
                    "bitsandbytes",
                    where(tensor)));
  }
}

void refuse_other(JsonObject& state, const char* key, std::int64_t expected) {
  if (const auto found = state.integer(key, 1); found != expected) {
    state.refuse(key, fmt::format("{} is not supported, only {}", found, expected));
  }
}

/// Device memory in the layout of a weight.
struct Nf4Memory {
  std::vector<Buffer> buffers;
  Nf4 tensors;

  Nf4Memory(const BitsandbytesWeight& weight, Backend& backend) {
    tensors.rows = weight.shape[0];
    const auto allocate = [&](const StoredTensor& like) {
      const auto bytes = like.info->bytes;
      buffers.push_back(backend.allocate(bytes));
      return Tensor{buffers.back().data(),
                    like.info->dtype,
                    1,
                    {static_cast<std::int64_t>(bytes / size_of(like.info->dtype))}};
    };
    tensors.codes = allocate(weight.codes);
    tensors.codes.dtype = DType::u8;
    tensors.codes.shape[0] = static_cast<std::int64_t>(weight.codes.info->bytes);
    tensors.absmax = allocate(weight.absmax);
    if (!weight.double_quant()) return;
    tensors.nested_absmax = allocate(*weight.nested_absmax);
    buffers.push_back(backend.allocate(sizeof(float)));
    tensors.nested_offset = {buffers.back().data(), DType::f32, 1, {1}};
  }
};

}  // namespace

void check_quantization_config(JsonObject config) {
  if (const auto method = config.has_value("quant_method") ? config.string("quant_method") : "bitsandbytes";
      method != "bitsandbytes") {
    config.refuse("quant_method", fmt::format("'{}' is not supported, only 'bitsandbytes'", method));
  }
  if (!config.has_value("load_in_4bit") || !config.boolean("load_in_4bit")) {
    config.refuse("load_in_4bit", "only weights in 4 bits are supported");
  }
  if (const auto type =
          config.has_value("bnb_4bit_quant_type") ? config.string("bnb_4bit_quant_type") : "fp4";
      type != "nf4") {
    config.refuse("bnb_4bit_quant_type", fmt::format("'{}' is not supported, only 'nf4'", type));
  }
}

std::optional<BitsandbytesWeight> find_bitsandbytes_weight(const WeightFiles& files,
                                                           const std::string& name) {
  const StoredTensor* codes = files.find(name);
  if (codes == nullptr) return std::nullopt;
  if (const StoredTensor* state = files.find(name + fp4_state)) {
    throw FileError(fmt::format("{}: FP4 is not supported, only NF4", where(*state)));
  }
  const StoredTensor* packed = files.find(name + nf4_state);
  if (packed == nullptr) return std::nullopt;

  const std::string source = where(*packed);
  if (packed->info->bytes > largest_state) {
    throw FileError(fmt::format("{}: {} bytes are too many for what it should hold, at most {}", source,
                                packed->info->bytes, largest_state));
  }
  nlohmann::json json;
  try {
    const auto text = packed->file->read(*packed->info);
    json = parse_json({reinterpret_cast<const char*>(text.data()), text.size()});
  } catch (const FileError& error) {
    throw FileError(fmt::format("{}: {}", source, error.what()));
  }
  JsonObject state(json, source);
  if (const auto type = state.string("quant_type"); type != "nf4") {
    state.refuse("quant_type", fmt::format("'{}' is not supported, only 'nf4'", type));
  }
  refuse_other(state, "blocksize", nf4_block);

  BitsandbytesWeight weight{name, {}, *codes, companion(files, *codes, ".absmax"), std::nullopt, 0};
  std::int64_t elements = 1;
  for (const auto& length : state.array("shape")) {
    if (!length.is_number_unsigned() || length.get<std::uint64_t>() > INT64_MAX ||
        __builtin_mul_overflow(elements, length.get<std::int64_t>(), &elements)) {
      state.refuse("shape", "is not the shape of a weight");
    }
    weight.shape.push_back(length.get<std::int64_t>());
  }
  if (weight.shape.size() != 2) state.refuse("shape", "is not that of a matrix");
  // Its storage may be of any type (`bnb_4bit_quant_storage`); the bytes are the same.
  if (codes->info->bytes != static_cast<std::uint64_t>(elements / 2 + elements % 2)) {
    throw FileError(fmt::format("{} has {} bytes of codes, shape {} needs {}", where(*codes),
                                codes->info->bytes, shape_text(weight.shape), elements / 2 + elements % 2));
  }
  check_table(companion(files, *codes, ".quant_map"), nf4_codes);
  const std::int64_t scales = blocks(elements, nf4_block);
  if (!state.has("nested_blocksize")) {
    check_layout(weight.absmax, DType::f32, scales);
    return weight;
  }
  refuse_other(state, "nested_blocksize", nf4_nested_block);
  weight.nested_offset = static_cast<float>(state.number("nested_offset"));
  if (!std::isfinite(weight.nested_offset)) state.refuse("nested_offset", "is not finite");
  check_layout(weight.absmax, DType::u8, scales);
  check_table(companion(files, *codes, ".nested_quant_map"), signed_dynamic_map);
  weight.nested_absmax = companion(files, *codes, ".nested_absmax");
  check_layout(*weight.nested_absmax, DType::f32, blocks(scales, nf4_nested_block));
  return weight;
}

std::vector<std::string> bitsandbytes_companions(const BitsandbytesWeight& weight) {
  std::vector<std::string> names;
  for (const char* suffix : {nf4_state, ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"}) {
    if (weight.double_quant() || !std::string_view(suffix).starts_with(".nested"))
      names.push_back(weight.name + suffix);
  }
  return names;
}

void load_bitsandbytes(const BitsandbytesWeight& weight, const Nf4& to, Backend& backend,
                       const InterruptionPoint& interruption) {
  const auto load = [&](const StoredTensor& from, const Tensor& target) {
    load_bytes(*from.file, *from.info, target.data, backend, interruption);
  };
  const StoredTensor& scales = weight.double_quant() ? *weight.nested_absmax : weight.absmax;
  (void)read_tensor(*scales.file, *scales.info, interruption);  // refuses what is not finite
  load(weight.codes, to.codes);
  load(weight.absmax, to.absmax);
  if (!weight.double_quant()) return;
  load(*weight.nested_absmax, to.nested_absmax);
  backend.copy_to_device(to.nested_offset.data, &weight.nested_offset, sizeof weight.nested_offset);
}

std::vector<float> dequantize_bitsandbytes(const BitsandbytesWeight& weight, Backend& backend,
                                           const InterruptionPoint& interruption) {
  const Nf4Memory codes(weight, backend);
  load_bitsandbytes(weight, codes.tensors, backend, interruption);
  std::vector<float> values(static_cast<std::size_t>(weight.shape[0] * weight.shape[1]));
  const Buffer memory = backend.allocate(values.size() * sizeof(float));
  backend.dequantize_nf4(codes.tensors, {memory.data(), DType::f32, 2, {weight.shape[0], weight.shape[1]}});
  backend.copy_to_host(values.data(), memory.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace ziptie
