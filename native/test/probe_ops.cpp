// ziptie-ops-probe: single ops of the CPU backend on tensors from files, for the oracle tests, and how fast
// oneDNN multiplies, for the benchmarks.
#include <dnnl.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "engine/io/safetensors.h"

namespace {

using namespace ziptie;
namespace fs = std::filesystem;

/// Tensors of a file on the backend, and room for others.
class Tensors {
 public:
  explicit Tensors(Backend& backend) : backend_(backend) {}

  Tensor make(DType dtype, std::int64_t n) {
    buffers_.push_back(backend_.allocate(n * size_of(dtype)));
    return {buffers_.back().data(), dtype, 1, {n}};
  }
  Tensor read(const SafetensorsFile& file, const std::string& name) {
    const TensorInfo& info = file.at(name);
    const Tensor tensor = make(info.dtype, static_cast<std::int64_t>(info.bytes / size_of(info.dtype)));
    const std::vector<std::byte> contents = file.read(info);
    backend_.copy_to_device(tensor.data, contents.data(), contents.size());
    return tensor;
  }
  void write(const fs::path& path, const std::map<std::string, Tensor>& tensors) {
    std::vector<std::vector<std::byte>> contents;
    std::vector<TensorContents> infos;
    for (const auto& [name, tensor] : tensors) {
      auto& bytes = contents.emplace_back(tensor.elements() * size_of(tensor.dtype));
      backend_.copy_to_host(bytes.data(), tensor.data, bytes.size());
      infos.push_back({name, tensor.dtype, {tensor.elements()}, {}});
    }
    for (std::size_t i = 0; i < infos.size(); ++i) infos[i].bytes = contents[i];
    write_safetensors(path, infos, {});
  }

 private:
  Backend& backend_;
  std::vector<Buffer> buffers_;
};

/// A matrix of one row: NF4 knows no rows.
Tensor as_matrix(Tensor tensor) {
  tensor.rank = 2;
  tensor.shape = {1, tensor.shape[0]};
  return tensor;
}

/// `weight` f32 to `codes`, `absmax` and, doubly quantised, `nested_absmax` and `nested_offset`.
void quantize(const fs::path& input, bool nested, const fs::path& output) {
  const auto backend = make_cpu_backend(0);
  Tensors tensors(*backend);
  const Tensor weight = tensors.read(SafetensorsFile(input), "weight");
  const std::int64_t n = weight.elements(), blocks = (n + 63) / 64;
  Nf4 to{0,
         1,
         tensors.make(DType::u8, (n + 1) / 2),
         tensors.make(nested ? DType::u8 : DType::f32, blocks),
         nested ? tensors.make(DType::f32, (blocks + 255) / 256) : Tensor{},
         nested ? tensors.make(DType::f32, 1) : Tensor{}};
  backend->quantize_nf4(as_matrix(weight), to);
  std::map<std::string, Tensor> made{{"codes", to.codes}, {"absmax", to.absmax}};
  if (nested) made.insert({{"nested_absmax", to.nested_absmax}, {"nested_offset", to.nested_offset}});
  tensors.write(output, made);
}

/// What `quantize` writes, back to `weight`.
void dequantize(const fs::path& input, std::int64_t elements, bool narrow, const fs::path& output) {
  const auto backend = make_cpu_backend(0);
  Tensors tensors(*backend);
  const SafetensorsFile file(input);
  const bool nested = file.tensors().contains("nested_absmax");
  const Nf4 from{0,
                 1,
                 tensors.read(file, "codes"),
                 tensors.read(file, "absmax"),
                 nested ? tensors.read(file, "nested_absmax") : Tensor{},
                 nested ? tensors.read(file, "nested_offset") : Tensor{}};
  const Tensor weight = tensors.make(narrow ? DType::bf16 : DType::f32, elements);
  backend->dequantize_nf4(from, as_matrix(weight));
  tensors.write(output, {{"weight", weight}});
}

/// The best of `repeats` products c[m, n] = a[m, k] b[n, k]ᵀ by oneDNN on OMP_NUM_THREADS threads, in FLOP/s.
void print_library_peak(std::int64_t m, std::int64_t n, std::int64_t k, int repeats) {
  std::vector<float> a(m * k, 0.5F), b(n * k, 0.25F), c(m * n);
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    dnnl_sgemm('N', 'T', m, n, k, 1, a.data(), k, b.data(), k, 0, c.data(), n);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, 2.0 * static_cast<double>(m * n * k) / seconds.count());
  }
  std::printf("%.0f\n", best);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Single ops, for the oracle tests and the benchmarks", "ziptie-ops-probe");
  app.require_subcommand(1);
  fs::path input, output;
  bool nested = false, narrow = false;
  std::int64_t elements = 0, m = 0, n = 0, k = 0;
  int repeats = 5;
  auto* quantize_command = app.add_subcommand("quantize-nf4", "A weight to NF4");
  quantize_command->add_option("--input", input)->required();
  quantize_command->add_option("--output", output)->required();
  quantize_command->add_flag("--double-quant", nested);
  auto* dequantize_command = app.add_subcommand("dequantize-nf4", "NF4 to a weight");
  dequantize_command->add_option("--input", input)->required();
  dequantize_command->add_option("--output", output)->required();
  dequantize_command->add_option("--elements", elements)->required();
  dequantize_command->add_flag("--bf16", narrow);
  auto* peak_command = app.add_subcommand("library-peak", "How fast oneDNN multiplies, in FLOP/s");
  peak_command->add_option("m", m)->required();
  peak_command->add_option("n", n)->required();
  peak_command->add_option("k", k)->required();
  peak_command->add_option("--repeats", repeats);
  CLI11_PARSE(app, argc, argv);
  try {
    if (*quantize_command) quantize(input, nested, output);
    if (*dequantize_command) dequantize(input, elements, narrow, output);
    if (*peak_command) print_library_peak(m, n, k, repeats);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
