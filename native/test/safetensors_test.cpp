#include "engine/io/safetensors.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "engine/io/tensor_transfer.h"
#include "refusal.h"
#include "temporary_directory.h"

using namespace ziptie;

namespace {

/// A file of a header of its true length and `data_bytes` zeros.
std::string file_with(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + std::string(data_bytes, '\0');
}

std::string refusal_of(const std::string& contents) {
  const TemporaryDirectory directory;
  const auto path = directory / "tensors.safetensors";
  std::ofstream(path, std::ios::binary) << contents;
  std::string message = refusal([&] { SafetensorsFile file(path); });
  // Every message begins with the file.
  REQUIRE(message.starts_with(path.string()));
  return message.substr(path.string().size());
}

}  // namespace

TEST_CASE("What is written is read back, in name order and with its metadata") {
  const TemporaryDirectory directory;
  const std::vector<float> weights = {1.5F, -2, 3, 4, 5, 6};
  const std::vector<std::uint8_t> mask = {1, 0, 1};
  const std::vector<std::uint64_t> none;
  const std::vector<TensorContents> tensors = {
      {"z.weight", DType::f32, {2, 3}, std::as_bytes(std::span(weights))},
      {"a.mask", DType::u8, {3}, std::as_bytes(std::span(mask))},
      {"empty", DType::u64, {0}, std::as_bytes(std::span(none))},
      {"scalar", DType::f32, {}, std::as_bytes(std::span(weights)).first(4)}};
  write_safetensors(directory / "file", tensors, {{"format", "pt"}, {"名", "值 \"quoted\""}});

  const SafetensorsFile file(directory / "file");
  CHECK(file.tensors().size() == 4);
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"名", "值 \"quoted\""}});
  for (const TensorContents& expected : tensors) {
    const TensorInfo& read = file.at(expected.name);
    CHECK(read.dtype == expected.dtype);
    CHECK(read.shape == expected.shape);
    CHECK(std::ranges::equal(file.read(read), expected.bytes));
  }
  CHECK(refusal([&] { (void)file.at("absent"); }).ends_with("there is no tensor 'absent'"));
}

TEST_CASE("A damaged or hostile file is refused with what is wrong with it") {
  struct Case {
    const char* about;
    std::string contents;
    const char* message;
  };
  const std::string one = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  std::string absurd = file_with(one, 8);
  absurd[7] = '\x7f';
  const std::vector<Case> cases = {
      {"empty", "", "0 bytes are too few"},
      {"cut within the length", "\x10\0\0", "bytes are too few"},
      {"cut within the header", file_with(one, 8).substr(0, 30),
       "its header claims 54 bytes, the file has 30"},
      {"a length beyond all files", absurd, "its header claims 9151314442816847926 bytes"},
      {"cut within the data", file_with(one, 8).substr(0, 69),
       "tensor 'a': data_offsets [0, 8] do not lie within the 7 bytes"},
      {"no JSON", file_with("{\"a\":", 0), "its header: not JSON"},
      {"not UTF-8", file_with("{\"\xff\":1}", 0), "its header: not JSON"},
      {"no object", file_with("[1]", 0), "its header is not a JSON object"},
      {"an entry that is no object", file_with(R"({"a":1})", 0), "tensor 'a': its entry is not an object"},
      {"no dtype", file_with(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8),
       "tensor 'a': its entry has no 'dtype'"},
      {"no shape", file_with(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8),
       "tensor 'a': its entry has no 'shape'"},
      {"no offsets", file_with(R"({"a":{"dtype":"F32","shape":[2]}})", 8),
       "tensor 'a': its entry has no 'data_offsets'"},
      {"an unknown dtype", file_with(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", 1),
       "dtype F4 is not supported"},
      {"a dtype that is no string", file_with(R"({"a":{"dtype":4,"shape":[2],"data_offsets":[0,1]}})", 1),
       "dtype is not a string"},
      {"a negative length", file_with(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8),
       "shape [-2] holds something other"},
      {"a fractional length", file_with(R"({"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})", 8),
       "holds something other than lengths"},
      {"a length beyond int64",
       file_with(R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,8]}})", 8),
       "holds something other than lengths"},
      {"a product that overflows",
       file_with(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
       "is more than a file can hold"},
      {"a size that overflows with the dtype",
       file_with(R"({"a":{"dtype":"U64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0),
       "is more than a file can hold"},
      {"the wrong number of bytes", file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
       "F32 [2] takes 8 bytes, but data_offsets [0, 4] span 4"},
      {"offsets that descend", file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8),
       "do not lie within"},
      {"offsets beyond the end",
       file_with(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551615]}})",
           8),
       "do not lie within"},
      {"negative offsets", file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", 8),
       "are not two byte offsets"},
      {"three offsets", file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})", 8),
       "are not two byte offsets"},
      {"an overlap",
       file_with(
           R"({"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
           8),
       "tensors 'a' and 'b' overlap"},
      {"the same bytes twice",
       file_with(
           R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
           8),
       "overlap"},
      {"a gap",
       file_with(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
           8),
       "tensor 'b': 2 bytes before it belong to no tensor"},
      {"bytes at the end", file_with(one, 11), "the last 3 bytes belong to no tensor"},
      {"a name that is there twice",
       file_with(
           R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
           8),
       "the key \"a\" is there twice"},
      {"metadata that is no text", file_with(R"({"__metadata__":{"step":3}})", 0),
       "__metadata__.step is not a string"},
      {"metadata that is no object", file_with(R"({"__metadata__":[]})", 0), "__metadata__ is not an object"},
      {"nesting without end", file_with(std::string(200'000, '['), 0),
       "its header: nested more than 64 deep"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.about);
    const std::string message = refusal_of(c.contents);
    CHECK_MESSAGE(message.find(c.message) != std::string::npos, message);
  }
}

TEST_CASE("Something that is no readable file is refused by its name") {
  const TemporaryDirectory directory;
  CHECK(refusal([&] { SafetensorsFile file(directory / "absent"); }) ==
        (directory / "absent").string() + ": cannot open: No such file or directory");
  CHECK(refusal([&] { SafetensorsFile file(directory.path()); }) ==
        directory.path().string() + ": not a regular file");
}

TEST_CASE("A file that is cut short while it is open is an error that names it") {
  const TemporaryDirectory directory;
  const std::vector<float> weights(1 << 16);
  const auto bytes = std::as_bytes(std::span(weights));
  write_safetensors(directory / "file", std::vector<TensorContents>{{"w", DType::f32, {1 << 16}, bytes}}, {});
  const SafetensorsFile file(directory / "file");
  const auto size = std::filesystem::file_size(directory / "file");
  CHECK(file.read(file.at("w")).size() == bytes.size());
  std::filesystem::resize_file(directory / "file", size / 2);
  CHECK(refusal([&] { (void)file.read(file.at("w")); }) ==
        (directory / "file").string() + ": the file has been cut short while it was in use: it had " +
            std::to_string(size) + " bytes, and has " + std::to_string(size / 2) + " now");
  CHECK(refusal([&] { (void)read_tensor(file, file.at("w")); }).starts_with((directory / "file").string()));
}

TEST_CASE("Numbers are read across the pieces that a large tensor is read in") {
  const TemporaryDirectory directory;
  constexpr std::int64_t count = 1'200'000;
  std::vector<float> weights(count);
  for (std::int64_t i = 0; i < count; ++i) weights[static_cast<std::size_t>(i)] = static_cast<float>(i % 257);
  const auto written = [&](DType dtype) {
    std::vector<std::byte> bytes(weights.size() * size_of(dtype));
    (void)narrow(weights, dtype, bytes);
    write_safetensors(directory / "file", std::vector<TensorContents>{{"w", dtype, {count}, bytes}}, {});
    const SafetensorsFile file(directory / "file");
    return read_tensor(file, file.at("w"));
  };
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::f64})
    CHECK(written(dtype) == weights);
  weights[1'100'000] = NAN;
  CHECK(refusal([&] {
          (void)written(DType::f16);
        }).ends_with("holds nan at element 1100000; the weights are damaged"));
}

TEST_CASE("A full disk is reported with the system's reason") {
  const std::vector<float> weights(4096);
  const std::vector<TensorContents> tensors = {{"w", DType::f32, {4096}, std::as_bytes(std::span(weights))}};
  CHECK(refusal([&] { write_safetensors("/dev/full", tensors, {}); }).find("No space left on device") !=
        std::string::npos);
}
