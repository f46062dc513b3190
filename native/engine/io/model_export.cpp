#include "engine/io/model_export.h"

#include <fmt/core.h>

#include <array>

#include "engine/io/adapter_merge.h"
#include "engine/io/hf_config.h"
#include "engine/io/hf_model.h"
#include "engine/io/hf_model_writer.h"
#include "engine/io/tensor_transfer.h"
#include "engine/io/write_aside.h"

namespace ziptie {
namespace {

/// The files that transformers may load a tokenizer from.
constexpr std::array tokenizer_file_names = {"tokenizer.json",    "tokenizer_config.json",
                                             "tokenizer.model",   "special_tokens_map.json",
                                             "added_tokens.json", "vocab.json",
                                             "merges.txt",        "chat_template.jinja"};

std::vector<std::filesystem::path> tokenizer_files_in(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const char* name : tokenizer_file_names) {
    if (std::filesystem::is_regular_file(directory / name)) files.push_back(directory / name);
  }
  return files;
}

}  // namespace

void export_model(const ModelExport& request, Backend& backend) {
  auto output = std::filesystem::absolute(request.output).lexically_normal();
  if (!output.has_filename()) output = output.parent_path();  // a slash at the end
  if (std::filesystem::exists(std::filesystem::symlink_status(output))) {
    throw FileError(fmt::format("{}: exists already; name a new directory", request.output.string()));
  }
  const HfModel base(request.model);
  const AdapterMerge merge(request.adapter, base.config());
  const LlamaConfig config = merge.config();
  const DType dtype = request.dtype.value_or(base.stored_dtype());

  HfContents contents;
  contents.config = continued_config(request.model, config, dtype);
  contents.origin = request.model;
  contents.tokenizer_files = tokenizer_files_in(request.adapter);
  if (contents.tokenizer_files.empty()) contents.tokenizer_files = tokenizer_files_in(request.model);
  for (const WeightShape& weight : weight_shapes(config))
    contents.tensors.push_back({weight.name, dtype, weight.shape});

  std::size_t done = 0;
  contents.fetch = [&](std::size_t i, std::span<std::byte> bytes) {
    request.progress(done++, contents.tensors.size());
    const std::string& name = contents.tensors[i].name;
    const bool untied_head = name == "lm_head.weight" && base.config().tie_word_embeddings;
    std::vector<float> values = base.read(untied_head ? "model.embed_tokens.weight" : name, backend);
    merge.apply(name, values, backend);
    if (const std::int64_t at = narrow(values, dtype, bytes); at >= 0) {
      throw FileError(fmt::format("{}: element {} of '{}' is {}, too large for {}; choose float32",
                                  request.output.string(), at, name, values[static_cast<std::size_t>(at)],
                                  safetensors_name(dtype)));
    }
  };
  write_aside(
      output, [&](const std::filesystem::path& aside) { write_hf_model(aside, contents); }, Existing::refuse);
  request.progress(contents.tensors.size(), contents.tensors.size());
}

}  // namespace ziptie
