#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/interruption.h"
#include "engine/model/config.h"
#include "engine/model/parameter.h"

namespace ziptie {

/// A weight and, where it is trained, its gradient.
struct Weight {
  Tensor value;
  std::optional<Tensor> gradient;

  Tensor gradient_or_none() const { return gradient.value_or(Tensor{}); }
};

/// A linear layer that owns the descriptions of its adapters and its quantised parts.
struct AdaptedLinear {
  Linear linear;
  std::vector<Lora> adapters;
  std::vector<Nf4> quantized;

  std::int64_t rank() const { return linear.lora_a.data ? linear.lora_a.shape[0] : 0; }
  bool trains() const {
    return linear.gradient.has_value() || linear.gradient_bias.has_value() || linear.gradient_lora_a.data;
  }
};

struct LlamaLayer {
  Weight input_norm, post_attention_norm;
  AdaptedLinear qkv;  ///< q, k, v
  AdaptedLinear o;
  AdaptedLinear gate_up;  ///< gate, up
  AdaptedLinear down;

  bool trains() const {
    return qkv.trains() || o.trains() || gate_up.trains() || down.trains() || input_norm.gradient ||
           post_attention_norm.gradient;
  }
};

/// Every weight of a model on its device.
class Weights {
 public:
  /// @throws std::invalid_argument naming the key that cannot be
  Weights(const LlamaConfig& config, const ModelOptions& options, Backend& backend);
  Weights(const Weights&) = delete;

  void initialize_base(std::uint64_t seed, const InterruptionPoint& interruption = {});
  void initialize_adapter(std::uint64_t seed, const InterruptionPoint& interruption = {});

  bool trains_embedding() const { return embedding.gradient || embedding.gradient_lora_a.data; }

  Embedding embedding;
  Weight norm;
  AdaptedLinear head;  ///< in a tied model the embedding's table, and adapter unless it has its own
  std::vector<LlamaLayer> layers;
  std::vector<Parameter> parameters;  ///< base weights, then LoRA

 private:
  /// What a LoRA tensor is before training.
  enum class Start { zero, uniform, normal };
  struct AdapterParameter {
    Parameter parameter;
    Start start;
  };
  /// A module of a linear layer: its rows, and its dropout's stream.
  struct Part {
    std::string module;
    std::int64_t out;
    std::uint32_t stream;
  };

  bool trains_whole(std::string_view module) const;
  DType frozen_dtype() const { return options_.frozen_dtype == DType::bf16 ? DType::bf16 : options_.dtype; }
  double adapter_scale() const;

  Tensor allocate(DType dtype, std::initializer_list<std::int64_t> shape);
  /// Of an adapter's tensor; absent when nothing is trained.
  std::optional<Tensor> allocate_gradient(std::initializer_list<std::int64_t> shape);
  Nf4 allocate_nf4(std::int64_t rows, std::int64_t in);

  void make_embedding();
  void make_head();
  /// A vector for each token, as the embedding and the head have it.
  Weight make_table(std::string_view module);
  Weight make_norm(const std::string& module);
  AdaptedLinear make_linear(std::initializer_list<Part> parts, std::int64_t in, bool biased);
  /// Allocates B of `lora`, and lists it and its A, `a`.
  void make_lora(Lora& lora, const std::string& module, std::int64_t out, const Weight& a,
                 ParameterGroup group);

  Parameter& list(std::string name, const Weight& weight, bool decays);
  AdapterParameter& list_adapter(const std::string& name, const Weight& weight, ParameterGroup group,
                                 Start start);

  Backend& backend_;
  LlamaConfig config_;
  ModelOptions options_;
  std::vector<Buffer> buffers_;
  std::vector<AdapterParameter> adapter_parameters_;
  std::size_t base_parameters_ = 0;  ///< the first so many of `parameters`
};

}  // namespace ziptie
