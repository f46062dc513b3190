#include "engine/model/weights.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string_view>

#include "engine/backend/philox.h"

namespace ziptie {

namespace {

constexpr std::array<std::string_view, 7> adaptable = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                       "gate_proj", "up_proj", "down_proj"};

void check(const LlamaConfig& config) {
  const auto positive = [](const char* key, std::int64_t value) {
    if (value <= 0)
      throw std::invalid_argument(std::string(key) + ": " + std::to_string(value) + " is not positive");
  };
  positive("hidden_size", config.hidden_size);
  positive("intermediate_size", config.intermediate_size);
  positive("num_hidden_layers", config.num_hidden_layers);
  positive("num_attention_heads", config.num_attention_heads);
  positive("num_key_value_heads", config.num_key_value_heads);
  positive("head_dim", config.head_dim);
  positive("vocab_size", config.vocab_size);
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    throw std::invalid_argument("num_key_value_heads: " + std::to_string(config.num_key_value_heads) +
                                " does not divide num_attention_heads, " +
                                std::to_string(config.num_attention_heads));
  if (config.head_dim % 2 != 0)
    throw std::invalid_argument("head_dim: " + std::to_string(config.head_dim) +
                                " is odd; rotary embedding turns pairs");
}

void check(const AdapterConfig& adapter) {
  if (adapter.r <= 0) throw std::invalid_argument("r: " + std::to_string(adapter.r) + " is not positive");
  if (!(adapter.dropout >= 0 && adapter.dropout < 1))
    throw std::invalid_argument("dropout: " + std::to_string(adapter.dropout) + " is not in [0, 1)");
  if (adapter.target_modules.empty()) throw std::invalid_argument("target_modules: names no module");
  for (const std::string& module : adapter.target_modules)
    if (std::ranges::find(adaptable, module) == adaptable.end())
      throw std::invalid_argument("target_modules: " + module +
                                  " is not a linear layer of Llama that can be adapted");
}

/// Rows [first, first + count) of a matrix.
Tensor rows_of(const Tensor& matrix, std::int64_t first, std::int64_t count) {
  Tensor view = matrix;
  view.data = static_cast<std::byte*>(matrix.data) + size_of(matrix.dtype) * first * matrix.shape[1];
  view.shape[0] = count;
  return view;
}

/// The key of a tensor's random numbers: FNV-1a of its name, mixed with the seed.
std::uint64_t tensor_key(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return mix_bits(seed ^ mix_bits(hash));
}

/// Four numbers in (0, 1), never at the ends, for the `index`-th block of four.
std::array<double, 4> uniform_block(std::uint64_t key, std::uint64_t index) {
  PhiloxBlock<1> counter{};
  counter[0][0] = static_cast<std::uint32_t>(index);
  counter[1][0] = static_cast<std::uint32_t>(index >> 32);
  const auto bits = philox<1>(counter, key);
  std::array<double, 4> numbers;
  for (int i = 0; i < 4; ++i) numbers[i] = (bits[i][0] + 0.5) * 0x1p-32;
  return numbers;
}

std::vector<double> normal_numbers(std::uint64_t key, std::int64_t count, double standard_deviation) {
  std::vector<double> values(count);
  for (std::int64_t block = 0; block * 4 < count; ++block) {
    // Box and Muller: two uniform numbers make two normal ones.
    const auto u = uniform_block(key, block);
    const double radius[] = {std::sqrt(-2 * std::log(u[0])), std::sqrt(-2 * std::log(u[2]))};
    const double angle[] = {2 * std::numbers::pi * u[1], 2 * std::numbers::pi * u[3]};
    const double normal[] = {radius[0] * std::cos(angle[0]), radius[0] * std::sin(angle[0]),
                             radius[1] * std::cos(angle[1]), radius[1] * std::sin(angle[1])};
    for (std::int64_t i = block * 4; i < std::min(count, block * 4 + 4); ++i)
      values[i] = standard_deviation * normal[i - block * 4];
  }
  return values;
}

std::vector<double> uniform_numbers(std::uint64_t key, std::int64_t count, double bound) {
  std::vector<double> values(count);
  for (std::int64_t block = 0; block * 4 < count; ++block) {
    const auto u = uniform_block(key, block);
    for (std::int64_t i = block * 4; i < std::min(count, block * 4 + 4); ++i)
      values[i] = bound * (2 * u[i - block * 4] - 1);
  }
  return values;
}

}  // namespace

Weights::Weights(const LlamaConfig& config, const std::optional<AdapterConfig>& adapter, Backend& backend,
                 DType dtype)
    : backend_(backend), dtype_(dtype), adapter_(adapter) {
  check(config);
  if (adapter) check(*adapter);
  const std::int64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  const std::int64_t q_width = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_width = config.num_key_value_heads * config.head_dim;
  const auto list = [&](const std::string& name, const Weight& weight, bool decays) {
    parameters.push_back({name, weight.value, weight.gradient, decays});
  };

  embedding = make_weight({config.vocab_size, hidden});
  list("model.embed_tokens.weight", embedding, true);
  layers.resize(config.num_hidden_layers);
  for (std::size_t index = 0; index < layers.size(); ++index) {
    LlamaLayer& layer = layers[index];
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const auto stream = static_cast<std::uint32_t>(index * adaptable.size());
    layer.qkv = make_linear(
        prefix + "self_attn.",
        {{"q_proj", q_width, stream}, {"k_proj", kv_width, stream + 1}, {"v_proj", kv_width, stream + 2}},
        hidden);
    layer.o = make_linear(prefix + "self_attn.", {{"o_proj", hidden, stream + 3}}, q_width);
    layer.gate_up =
        make_linear(prefix + "mlp.",
                    {{"gate_proj", intermediate, stream + 4}, {"up_proj", intermediate, stream + 5}}, hidden);
    layer.down = make_linear(prefix + "mlp.", {{"down_proj", hidden, stream + 6}}, intermediate);
    layer.input_norm = make_weight({hidden});
    list(prefix + "input_layernorm.weight", layer.input_norm, false);
    layer.post_attention_norm = make_weight({hidden});
    list(prefix + "post_attention_layernorm.weight", layer.post_attention_norm, false);
  }
  norm = make_weight({hidden});
  list("model.norm.weight", norm, false);
  Weight output = embedding;
  if (!config.tie_word_embeddings) {
    output = make_weight({config.vocab_size, hidden});
    list("lm_head.weight", output, true);
  }
  head.weight = output.value;
  head.gradient = output.gradient;
  base_parameters = parameters.size();
  parameters.insert(parameters.end(), adapter_parameters_.begin(), adapter_parameters_.end());
}

Tensor Weights::allocate(std::initializer_list<std::int64_t> shape) {
  Tensor tensor{nullptr, dtype_, static_cast<int>(shape.size()), {}};
  std::ranges::copy(shape, tensor.shape.begin());
  std::size_t bytes = size_of(dtype_);
  for (const std::int64_t extent : shape) bytes *= extent;
  buffers_.push_back(backend_.allocate(bytes));
  tensor.data = buffers_.back().data();
  return tensor;
}

Weight Weights::make_weight(std::initializer_list<std::int64_t> shape) {
  Weight weight{allocate(shape), std::nullopt};
  if (!adapter_) weight.gradient = allocate(shape);
  return weight;
}

AdaptedLinear Weights::make_linear(const std::string& prefix, std::initializer_list<Part> parts,
                                   std::int64_t in) {
  std::int64_t out = 0, adapted = 0;
  const auto adapts = [&](const Part& part) {
    return adapter_ &&
           std::ranges::find(adapter_->target_modules, part.name) != adapter_->target_modules.end();
  };
  for (const Part& part : parts) {
    out += part.out;
    adapted += adapts(part);
  }
  const Weight whole = make_weight({out, in});
  AdaptedLinear made{{.weight = whole.value, .gradient = whole.gradient}, {}};
  const std::int64_t r = adapter_ ? adapter_->r : 0;
  if (adapted > 0) {
    made.linear.lora_a = allocate({adapted * r, in});
    made.linear.gradient_lora_a = allocate({adapted * r, in});
  }
  std::int64_t first_output = 0, first_rank = 0;
  for (const Part& part : parts) {
    std::optional<Tensor> gradient;
    if (whole.gradient) gradient = rows_of(*whole.gradient, first_output, part.out);
    parameters.push_back(
        {prefix + part.name + ".weight", rows_of(whole.value, first_output, part.out), gradient, true});
    if (adapts(part)) {
      Lora lora{first_output, allocate({part.out, r}), allocate({part.out, r}), 0, part.stream};
      lora.scale = adapter_->alpha /
                   (adapter_->use_rslora ? std::sqrt(static_cast<double>(r)) : static_cast<double>(r));
      const std::string name = "base_model.model." + prefix + part.name;
      adapter_parameters_.push_back({name + ".lora_A.weight", rows_of(made.linear.lora_a, first_rank, r),
                                     rows_of(made.linear.gradient_lora_a, first_rank, r), true});
      adapter_parameters_.push_back({name + ".lora_B.weight", lora.b, lora.gradient_b, true});
      made.adapters.push_back(lora);
      first_rank += r;
    }
    first_output += part.out;
  }
  made.linear.adapters = made.adapters;
  return made;
}

void Weights::initialize_base(std::uint64_t seed, double standard_deviation) {
  for (std::size_t i = 0; i < base_parameters; ++i) {
    const Parameter& parameter = parameters[i];
    const std::int64_t count = parameter.value.elements();
    const bool is_norm = parameter.value.rank == 1;
    write(parameter, is_norm ? std::vector<double>(count, 1.0)
                             : normal_numbers(tensor_key(seed, parameter.name), count, standard_deviation));
  }
}

void Weights::initialize_adapter(std::uint64_t seed) {
  for (std::size_t i = base_parameters; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    if (parameter.name.ends_with("lora_B.weight")) {
      backend_.fill_zero(parameter.value);
      continue;
    }
    // Kaiming-uniform with a = √5: the gain is √(1/3), so the bound is 1/√in.
    const double bound = 1 / std::sqrt(static_cast<double>(parameter.value.shape[1]));
    write(parameter, uniform_numbers(tensor_key(seed, parameter.name), parameter.value.elements(), bound));
  }
}

void Weights::write(const Parameter& parameter, const std::vector<double>& values) {
  if (dtype_ == DType::f64) {
    backend_.copy_to_device(parameter.value.data, values.data(), values.size() * sizeof(double));
    return;
  }
  const std::vector<float> rounded(values.begin(), values.end());
  backend_.copy_to_device(parameter.value.data, rounded.data(), rounded.size() * sizeof(float));
}

}  // namespace ziptie
