#include "engine/io/model_export.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "engine/io/adapter_merge.h"
#include "engine/io/hf_config.h"
#include "engine/io/hf_model.h"
#include "engine/io/hf_model_writer.h"
#include "engine/io/json_object.h"
#include "engine/io/tensor_transfer.h"
#include "engine/io/write_aside.h"

namespace ziptie {
namespace {

/// The files that transformers may load a tokenizer from.
constexpr std::array tokenizer_file_names = {"tokenizer.json",    "tokenizer_config.json",
                                             "tokenizer.model",   "special_tokens_map.json",
                                             "added_tokens.json", "vocab.json",
                                             "merges.txt",        "chat_template.jinja"};

constexpr std::array vocabulary_file_names = {"tokenizer.json", "tokenizer.model", "vocab.json"};

constexpr std::string_view template_file_name = "chat_template.jinja";

bool has_file(const std::filesystem::path& directory, std::string_view name) {
  return std::filesystem::is_regular_file(directory / name);
}

/// In a file of its own or, as older versions of transformers write it, within the tokenizer's settings.
bool has_chat_template(const std::filesystem::path& directory) {
  if (has_file(directory, template_file_name)) return true;
  if (!has_file(directory, "tokenizer_config.json")) return false;
  const auto settings = read_json(directory / "tokenizer_config.json");
  return settings.is_object() && settings.contains("chat_template");
}

/// The adapter's tokenizer files, and those of its base that it does without. An adapter with a vocabulary of
/// its own takes none of the base's but the chat template: all others name tokens by their ids.
std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& adapter,
                                                   const std::filesystem::path& base) {
  const bool own_vocabulary =
      std::ranges::any_of(vocabulary_file_names, [&](const char* name) { return has_file(adapter, name); });
  // The file takes precedence over a template within the settings, be they the adapter's.
  const bool own_template = has_chat_template(adapter);
  std::vector<std::filesystem::path> files;
  for (const std::string_view name : tokenizer_file_names) {
    const bool is_own = name == template_file_name ? own_template : own_vocabulary;
    if (has_file(adapter, name)) {
      files.push_back(adapter / name);
    } else if (!is_own && has_file(base, name)) {
      files.push_back(base / name);
    }
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
  contents.tokenizer_files = tokenizer_files(request.adapter, request.model);
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
