#include "engine/io/hf_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/io/bitsandbytes.h"
#include "engine/io/hf_config.h"
#include "engine/io/hf_model_writer.h"
#include "engine/io/json_object.h"
#include "engine/io/tensor_transfer.h"
#include "engine/io/weight_files.h"
#include "engine/io/write_aside.h"

namespace ziptie {
namespace {

/// Old checkpoints hold tables that are computed now, and tied ones sometimes hold the head, too.
bool is_redundant(const std::string& name, const LlamaConfig& config) {
  return name.ends_with("rotary_emb.inv_freq") || (config.tie_word_embeddings && name == "lm_head.weight");
}

/// Bytes that are copied between two interruption points.
constexpr std::uint64_t copied_piece = 16 << 20;

constexpr const char* embedding_name = "model.embed_tokens.weight";

bool has_row_per_token(const std::string& name) { return name == embedding_name || name == "lm_head.weight"; }

}  // namespace

struct HfModel::State {
  std::filesystem::path directory;
  LlamaConfig config;
  WeightFiles files;
  std::map<std::string, BitsandbytesWeight> quantized;
  std::optional<NewRows> new_rows;

  explicit State(std::filesystem::path path)
      : directory(std::move(path)), config(read_hf_config(directory)), files(directory) {}

  void check();
  const StoredTensor& stored(const std::string& name) const { return *files.find(name); }
  std::vector<float> read(const std::string& name, Backend& backend,
                          const InterruptionPoint& interruption = {}) const;
};

void HfModel::State::check() {
  std::set<std::string> expected;
  for (const WeightShape& weight : weight_shapes(config)) {
    expected.insert(weight.name);
    const StoredTensor* found = files.find(weight.name);
    if (found == nullptr) {
      throw FileError(fmt::format("{}: there is no tensor '{}', which config.json calls for",
                                  directory.string(), weight.name));
    }
    auto codes = find_bitsandbytes_weight(files, weight.name);
    if (!codes) {
      check_tensor(found->file->path(), *found->info, weight.shape);
      continue;
    }
    if (codes->shape != weight.shape) {
      throw FileError(fmt::format("{}: tensor '{}' was quantised from shape {}, the model needs {}",
                                  found->file->path().string(), weight.name, shape_text(codes->shape),
                                  shape_text(weight.shape)));
    }
    for (const std::string& companion : bitsandbytes_companions(*codes)) expected.insert(companion);
    quantized.emplace(weight.name, std::move(*codes));
  }
  for (const auto& [name, tensor] : files.tensors()) {
    if (!expected.contains(name) && !is_redundant(name, config)) {
      throw FileError(fmt::format("{}: tensor '{}' has no place in the model that config.json describes",
                                  tensor.file->path().string(), name));
    }
  }
}

std::vector<float> HfModel::State::read(const std::string& name, Backend& backend,
                                        const InterruptionPoint& interruption) const {
  if (const auto codes = quantized.find(name); codes != quantized.end()) {
    return dequantize_bitsandbytes(codes->second, backend, interruption);
  }
  const StoredTensor& tensor = stored(name);
  std::vector<float> values = read_tensor(*tensor.file, *tensor.info, interruption);
  if (!new_rows || !has_row_per_token(name)) return values;
  std::vector<float> rows = new_rows->of(name, values, config.hidden_size, interruption);
  if (const std::int64_t at = round_to(tensor.info->dtype, rows); at >= 0) {
    throw FileError(
        fmt::format("{}: the new row {} of '{}' is too large for {}, which its rows are stored in; "
                    "check the weights of the zip-tie map",
                    tensor.file->path().string(), new_rows->base_size() + at / config.hidden_size, name,
                    safetensors_name(tensor.info->dtype)));
  }
  values.resize(static_cast<std::size_t>(new_rows->rows_afterwards() * config.hidden_size));
  std::ranges::copy(rows, values.begin() + new_rows->base_size() * config.hidden_size);
  return values;
}

HfModel::HfModel(std::filesystem::path directory, const std::optional<VocabularyGrowth>& growth)
    : state_(std::make_unique<State>(std::move(directory))) {
  state_->check();
  if (!growth) return;
  for (const auto& [name, codes] : state_->quantized) {
    if (has_row_per_token(name)) {
      throw FileError(
          fmt::format("{}: tensor '{}' is quantised; a vocabulary grows only where embedding and head "
                      "are not",
                      state_->stored(name).file->path().string(), name));
    }
  }
  state_->new_rows.emplace(*growth, state_->config.vocab_size, state_->config.initializer_range);
  state_->config.vocab_size = state_->new_rows->rows_afterwards();
}

HfModel::~HfModel() = default;
HfModel::HfModel(HfModel&&) noexcept = default;

const std::filesystem::path& HfModel::directory() const { return state_->directory; }
const LlamaConfig& HfModel::config() const { return state_->config; }

DType HfModel::stored_dtype() const {
  const DType dtype = state_->stored(embedding_name).info->dtype;
  return dtype == DType::bf16 || dtype == DType::f16 ? dtype : DType::f32;
}

ModelOptions HfModel::options_to_run() const {
  ModelOptions options{.frozen_dtype = DType::bf16, .train = false};
  std::set<bool> double_quant;
  bool all_quantized = true;
  for (const WeightShape& weight : weight_shapes(state_->config)) {
    if (weight.shape.size() != 2) continue;
    const auto codes = state_->quantized.find(weight.name);
    const bool in_layer = weight.name.starts_with("model.layers.");
    if (codes != state_->quantized.end() && in_layer) {
      double_quant.insert(codes->second.double_quant());
      continue;
    }
    if (in_layer) all_quantized = false;
    if (codes != state_->quantized.end() || state_->stored(weight.name).info->dtype != DType::bf16)
      options.frozen_dtype = DType::f32;
  }
  if (all_quantized && double_quant.size() == 1)
    options.quantization = Quantization{*double_quant.begin()};
  else if (!double_quant.empty())
    options.frozen_dtype = DType::f32;  // what is dequantised
  return options;
}

std::vector<float> HfModel::read(const std::string& name, Backend& backend) const {
  return state_->read(name, backend);
}

void HfModel::load_into(Llama& model, const InterruptionPoint& interruption) const {
  std::map<std::string, const Parameter*> parameters;
  for (const Parameter& parameter : model.parameters()) parameters.emplace(parameter.name, &parameter);
  for (const WeightShape& weight : weight_shapes(state_->config)) {
    pass(interruption);
    const Parameter& parameter = *parameters.at(weight.name);
    const auto codes = state_->quantized.find(weight.name);
    if (parameter.quantized && codes != state_->quantized.end() &&
        codes->second.double_quant() == (parameter.quantized->nested_absmax.data != nullptr)) {
      load_bitsandbytes(codes->second, *parameter.quantized, model.backend(), interruption);
    } else {
      write_parameter(parameter, state_->read(weight.name, model.backend(), interruption), model.backend());
    }
  }
}

void HfModel::write(const std::filesystem::path& directory,
                    std::span<const std::filesystem::path> tokenizer_files, Backend& backend,
                    const InterruptionPoint& interruption) const {
  HfContents contents;
  contents.config = read_json(state_->directory / "config.json");
  contents.config["vocab_size"] = state_->config.vocab_size;
  contents.origin = state_->directory;
  contents.tokenizer_files.assign(tokenizer_files.begin(), tokenizer_files.end());
  for (const auto& [name, tensor] : state_->files.tensors()) {
    if (is_redundant(name, state_->config)) continue;
    contents.tensors.push_back({name, tensor.info->dtype, tensor.info->shape});
    if (state_->new_rows && has_row_per_token(name))
      contents.tensors.back().shape[0] = state_->config.vocab_size;
  }
  contents.fetch = [&](std::size_t i, std::span<std::byte> bytes) {
    const std::string& name = contents.tensors[i].name;
    const StoredTensor& tensor = state_->stored(name);
    const std::uint64_t old = tensor.info->bytes;
    for (std::uint64_t at = 0; at < old; at += copied_piece) {
      pass(interruption);
      tensor.file->read(*tensor.info, at, bytes.subspan(at, std::min(copied_piece, old - at)));
    }
    if (!state_->new_rows || !has_row_per_token(name)) return;
    const NewRows& rows = *state_->new_rows;
    const auto width = static_cast<std::size_t>(state_->config.hidden_size);
    const std::size_t begin = static_cast<std::size_t>(rows.base_size()) * width;
    const std::size_t elements = static_cast<std::size_t>(rows.count()) * width;
    const std::vector<float> values = state_->read(name, backend, interruption);
    const std::size_t size = size_of(tensor.info->dtype);
    (void)narrow(std::span(values).subspan(begin, elements), tensor.info->dtype,
                 bytes.subspan(begin * size, elements * size));
  };
  write_aside(directory, [&](const std::filesystem::path& aside) { write_hf_model(aside, contents); });
}

}  // namespace ziptie
