#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/llama.h"

namespace ziptie {

/// A weight and, where it is trained, its gradient.
struct Weight {
  Tensor value;
  std::optional<Tensor> gradient;

  Tensor gradient_or_none() const { return gradient.value_or(Tensor{}); }
};

/// A linear layer that owns its adapters' descriptions.
struct AdaptedLinear {
  Linear linear;
  std::vector<Lora> adapters;

  std::int64_t rank() const { return linear.lora_a.data ? linear.lora_a.shape[0] : 0; }
  bool trains() const { return linear.gradient.has_value() || rank() > 0; }
};

struct LlamaLayer {
  Weight input_norm, post_attention_norm;
  AdaptedLinear qkv;  ///< q, k, v
  AdaptedLinear o;
  AdaptedLinear gate_up;  ///< gate, up
  AdaptedLinear down;
};

/// Every weight of a model on its device.
class Weights {
 public:
  /// @throws std::invalid_argument naming the key that cannot be
  Weights(const LlamaConfig& config, const std::optional<AdapterConfig>& adapter, Backend& backend,
          DType dtype);
  Weights(const Weights&) = delete;

  void initialize_base(std::uint64_t seed, double standard_deviation);
  void initialize_adapter(std::uint64_t seed);

  Embedding embedding_op() const {
    Embedding op;
    op.table = embedding.value;
    op.gradient = embedding.gradient;
    return op;
  }

  Weight embedding, norm;
  Linear head;  ///< the embedding itself in a tied model
  std::vector<LlamaLayer> layers;
  std::vector<Parameter> parameters;
  std::size_t base_parameters = 0;  ///< the first so many of `parameters`

 private:
  Tensor allocate(std::initializer_list<std::int64_t> shape);
  Weight make_weight(std::initializer_list<std::int64_t> shape);
  /// Part `name` of a linear layer: its rows, and whether it is adapted.
  struct Part {
    std::string name;
    std::int64_t out;
    std::uint32_t stream;
  };
  AdaptedLinear make_linear(const std::string& prefix, std::initializer_list<Part> parts, std::int64_t in);
  void write(const Parameter& parameter, const std::vector<double>& values);

  Backend& backend_;
  DType dtype_;
  std::optional<AdapterConfig> adapter_;
  std::vector<Buffer> buffers_;
  std::vector<Parameter> adapter_parameters_;
};

}  // namespace ziptie
