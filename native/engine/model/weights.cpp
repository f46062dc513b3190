#include "engine/model/weights.h"

#include <algorithm>
#include <cmath>

#include "engine/model/initial_values.h"
#include "engine/model/modules.h"

namespace ziptie {

namespace {

const std::string adapter_prefix = "base_model.model.";

/// Rows [first, first + count) of a matrix, or elements of a vector.
Tensor rows_of(const Tensor& tensor, std::int64_t first, std::int64_t count) {
  Tensor view = tensor;
  const std::int64_t row = tensor.rank == 1 ? 1 : tensor.shape[1];
  if (view.data) view.data = static_cast<std::byte*>(tensor.data) + size_of(tensor.dtype) * first * row;
  view.shape[0] = count;
  return view;
}

}  // namespace

Weights::Weights(const LlamaConfig& config, const ModelOptions& options, Backend& backend)
    : backend_(backend), config_(config), options_(options) {
  check_config(config);
  check_options(config, options);
  const std::int64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  const std::int64_t q_width = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_width = config.num_key_value_heads * config.head_dim;

  make_embedding();
  layers.resize(config.num_hidden_layers);
  for (std::size_t index = 0; index < layers.size(); ++index) {
    LlamaLayer& layer = layers[index];
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    const auto stream = static_cast<std::uint32_t>(index * 7);
    layer.qkv = make_linear({{attention + "q_proj", q_width, stream},
                             {attention + "k_proj", kv_width, stream + 1},
                             {attention + "v_proj", kv_width, stream + 2}},
                            hidden, config.attention_bias);
    layer.o = make_linear({{attention + "o_proj", hidden, stream + 3}}, q_width, config.output_bias());
    layer.gate_up = make_linear(
        {{mlp + "gate_proj", intermediate, stream + 4}, {mlp + "up_proj", intermediate, stream + 5}}, hidden,
        false);
    layer.down = make_linear({{mlp + "down_proj", hidden, stream + 6}}, intermediate, false);
    layer.input_norm = make_norm(prefix + "input_layernorm");
    layer.post_attention_norm = make_norm(prefix + "post_attention_layernorm");
  }
  norm = make_norm("model.norm");
  make_head();
  base_parameters_ = parameters.size();
  for (const AdapterParameter& listed : adapter_parameters_) parameters.push_back(listed.parameter);
}

bool Weights::trains_whole(std::string_view module) const {
  return options_.train && (!options_.adapter || is_saved(module, config_, options_));
}

Tensor Weights::allocate(DType dtype, std::initializer_list<std::int64_t> shape) {
  Tensor tensor{nullptr, dtype, static_cast<int>(shape.size()), {}};
  std::ranges::copy(shape, tensor.shape.begin());
  std::size_t bytes = size_of(dtype);
  for (const std::int64_t extent : shape) bytes *= extent;
  buffers_.push_back(backend_.allocate(bytes));
  tensor.data = buffers_.back().data();
  return tensor;
}

std::optional<Tensor> Weights::allocate_gradient(std::initializer_list<std::int64_t> shape) {
  if (!options_.train) return std::nullopt;
  return allocate(options_.dtype, shape);
}

Weight Weights::make_table(std::string_view module) {
  const bool trained = trains_whole(module);
  // A saved module keeps what was trained also where nothing is trained any more.
  const bool whole = trained || is_saved(module, config_, options_);
  Weight weight{allocate(whole ? options_.dtype : frozen_dtype(), {config_.vocab_size, config_.hidden_size}),
                std::nullopt};
  if (trained) weight.gradient = allocate(options_.dtype, {config_.vocab_size, config_.hidden_size});
  Parameter& parameter = list(std::string(module) + ".weight", weight, true);
  parameter.group = ParameterGroup::embedding;
  if (is_saved(module, config_, options_)) {
    parameter.adapter_tensors.push_back({adapter_prefix + parameter.name});
    if (config_.tie_word_embeddings)
      parameter.adapter_tensors.push_back({adapter_prefix + std::string(head_module) + ".weight"});
  }
  return weight;
}

Weight Weights::make_norm(const std::string& module) {
  Weight weight{allocate(options_.dtype, {config_.hidden_size}), std::nullopt};
  if (trains_whole(module)) weight.gradient = allocate(options_.dtype, {config_.hidden_size});
  Parameter& parameter = list(module + ".weight", weight, false);
  if (is_saved(module, config_, options_))
    parameter.adapter_tensors.push_back({adapter_prefix + parameter.name});
  return weight;
}

Parameter& Weights::list(std::string name, const Weight& weight, bool decays) {
  Parameter& parameter = parameters.emplace_back();
  parameter.name = std::move(name);
  parameter.value = weight.value;
  parameter.gradient = weight.gradient;
  parameter.decays = decays;
  return parameter;
}

void Weights::make_embedding() {
  const Weight table = make_table(embedding_module);
  embedding.table = table.value;
  embedding.gradient = table.gradient;
  if (!is_adapted(embedding_module, config_, options_)) return;
  const std::int64_t r = options_.adapter->r;
  embedding.scale = adapter_scale();
  embedding.lora_a = allocate(options_.dtype, {config_.vocab_size, r});
  embedding.lora_b = allocate(options_.dtype, {r, config_.hidden_size});
  const auto gradient_a = allocate_gradient({config_.vocab_size, r});
  const auto gradient_b = allocate_gradient({r, config_.hidden_size});
  embedding.gradient_lora_a = gradient_a.value_or(Tensor{});
  embedding.gradient_lora_b = gradient_b.value_or(Tensor{});
  const std::string name = adapter_prefix + std::string(embedding_module),
                    head = adapter_prefix + std::string(head_module);
  const bool tied = ties_ends(config_, options_);
  const auto list_half = [&](const char* half, const char* of_head, const Weight& weight, Start start) {
    AdapterParameter& listed = list_adapter(name + half, weight, ParameterGroup::embedding, start);
    listed.parameter.adapter_tensors[0].transposed = true;
    if (tied) listed.parameter.adapter_tensors.push_back({head + of_head});
  };
  list_half(".lora_embedding_A", ".lora_B.weight", {embedding.lora_a, gradient_a}, Start::zero);
  list_half(".lora_embedding_B", ".lora_A.weight", {embedding.lora_b, gradient_b},
            tied ? Start::uniform : Start::normal);
}

void Weights::make_head() {
  if (config_.tie_word_embeddings) {
    head.linear.weight = embedding.table;
    head.linear.gradient = embedding.gradient;
  } else {
    const Weight weight = make_table(head_module);
    head.linear.weight = weight.value;
    head.linear.gradient = weight.gradient;
  }
  if (!is_adapted(head_module, config_, options_)) return;
  Lora lora;
  lora.scale = adapter_scale();
  lora.stream = static_cast<std::uint32_t>(layers.size() * 7);
  if (ties_ends(config_, options_)) {
    // Transposed, the embedding's adapter is the head's: its A the head's B, its B the head's A.
    lora.b = embedding.lora_a;
    lora.gradient_b = embedding.gradient_lora_a;
    head.linear.lora_a = embedding.lora_b;
    head.linear.gradient_lora_a = embedding.gradient_lora_b;
  } else {
    const std::int64_t r = options_.adapter->r;
    const Weight a{allocate(options_.dtype, {r, config_.hidden_size}),
                   allocate_gradient({r, config_.hidden_size})};
    head.linear.lora_a = a.value;
    head.linear.gradient_lora_a = a.gradient_or_none();
    make_lora(lora, std::string(head_module), config_.vocab_size, a, ParameterGroup::embedding);
  }
  head.adapters.push_back(lora);
  head.linear.adapters = head.adapters;
}

double Weights::adapter_scale() const {
  const auto r = static_cast<double>(options_.adapter->r);
  return options_.adapter->alpha / (options_.adapter->use_rslora ? std::sqrt(r) : r);
}

Weights::AdapterParameter& Weights::list_adapter(const std::string& name, const Weight& weight,
                                                 ParameterGroup group, Start start) {
  AdapterParameter& listed = adapter_parameters_.emplace_back();
  listed.start = start;
  listed.parameter.name = name;
  listed.parameter.value = weight.value;
  listed.parameter.gradient = weight.gradient;
  listed.parameter.group = group;
  listed.parameter.adapter_tensors.push_back({name});
  return listed;
}

void Weights::make_lora(Lora& lora, const std::string& module, std::int64_t out, const Weight& a,
                        ParameterGroup group) {
  const std::int64_t r = options_.adapter->r;
  const Weight b{allocate(options_.dtype, {out, r}), allocate_gradient({out, r})};
  lora.b = b.value;
  lora.gradient_b = b.gradient_or_none();
  list_adapter(adapter_prefix + module + ".lora_A.weight", a, group, Start::uniform);
  list_adapter(adapter_prefix + module + ".lora_B.weight", b, group, Start::zero);
}

Nf4 Weights::allocate_nf4(std::int64_t rows, std::int64_t in) {
  const std::int64_t elements = rows * in, blocks = (elements + 63) / 64;
  Nf4 made;
  made.rows = rows;
  made.codes = allocate(DType::u8, {(elements + 1) / 2});
  if (options_.quantization->double_quant) {
    made.absmax = allocate(DType::u8, {blocks});
    made.nested_absmax = allocate(DType::f32, {(blocks + 255) / 256});
    made.nested_offset = allocate(DType::f32, {1});
  } else {
    made.absmax = allocate(DType::f32, {blocks});
  }
  return made;
}

AdaptedLinear Weights::make_linear(std::initializer_list<Part> parts, std::int64_t in, bool biased) {
  std::int64_t out = 0, adapted = 0;
  for (const Part& part : parts) {
    out += part.out;
    adapted += is_adapted(part.module, config_, options_);
  }
  const bool trained = options_.train && !options_.adapter;
  AdaptedLinear made;
  if (options_.quantization)
    made.linear.weight = {nullptr, options_.dtype, 2, {out, in}};
  else
    made.linear.weight = allocate(trained ? options_.dtype : frozen_dtype(), {out, in});
  if (trained) made.linear.gradient = allocate(options_.dtype, {out, in});
  if (biased) {
    made.linear.bias = allocate(options_.dtype, {out});
    if (trained) made.linear.gradient_bias = allocate(options_.dtype, {out});
  }
  const std::int64_t r = options_.adapter ? options_.adapter->r : 0;
  std::optional<Tensor> gradient_a;
  if (adapted > 0) {
    made.linear.lora_a = allocate(options_.dtype, {adapted * r, in});
    gradient_a = allocate_gradient({adapted * r, in});
    made.linear.gradient_lora_a = gradient_a.value_or(Tensor{});
  }
  std::int64_t first_output = 0, first_rank = 0;
  for (const Part& part : parts) {
    const auto part_of = [&](const std::optional<Tensor>& whole) -> std::optional<Tensor> {
      if (!whole) return std::nullopt;
      return rows_of(*whole, first_output, part.out);
    };
    Parameter& weight =
        list(part.module + ".weight", {*part_of(made.linear.weight), part_of(made.linear.gradient)}, true);
    if (options_.quantization) {
      weight.quantized = allocate_nf4(part.out, in);
      made.quantized.push_back(*weight.quantized);
      made.quantized.back().first_output = first_output;
    }
    if (biased)
      list(part.module + ".bias", {*part_of(made.linear.bias), part_of(made.linear.gradient_bias)}, false);
    if (is_adapted(part.module, config_, options_)) {
      Lora& lora = made.adapters.emplace_back();
      lora.first_output = first_output;
      lora.scale = adapter_scale();
      lora.stream = part.stream;
      Weight a{rows_of(made.linear.lora_a, first_rank, r), std::nullopt};
      if (gradient_a) a.gradient = rows_of(*gradient_a, first_rank, r);
      make_lora(lora, part.module, part.out, a, ParameterGroup::other);
      first_rank += r;
    }
    first_output += part.out;
  }
  made.linear.adapters = made.adapters;
  made.linear.quantized = made.quantized;
  return made;
}

void Weights::initialize_base(std::uint64_t seed, const InterruptionPoint& interruption) {
  for (std::size_t i = 0; i < base_parameters_; ++i) {
    pass(interruption);
    const Parameter& parameter = parameters[i];
    const std::int64_t count = parameter.elements();
    if (parameter.name.ends_with(".bias"))
      backend_.fill_zero(parameter.value);
    else if (parameter.value.rank == 1)
      write_parameter(parameter, std::vector<float>(count, 1.0f), backend_);
    else
      write_parameter(
          parameter,
          normal_numbers(tensor_key(seed, parameter.name), count, config_.initializer_range, interruption),
          backend_);
  }
}

void Weights::initialize_adapter(std::uint64_t seed, const InterruptionPoint& interruption) {
  for (const auto& [parameter, start] : adapter_parameters_) {
    pass(interruption);
    const std::uint64_t key = tensor_key(seed, parameter.name);
    const std::int64_t count = parameter.elements();
    switch (start) {
      case Start::zero:
        backend_.fill_zero(parameter.value);
        break;
      case Start::normal:
        write_parameter(parameter, normal_numbers(key, count, 1, interruption), backend_);
        break;
      case Start::uniform:
        // Kaiming-uniform with a = √5: the gain is √(1/3), so the bound is 1/√in.
        write_parameter(
            parameter,
            uniform_numbers(key, count, 1 / std::sqrt(static_cast<double>(parameter.value.shape[1])),
                            interruption),
            backend_);
    }
  }
}

}  // namespace ziptie
