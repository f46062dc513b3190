// What is computed again in the backward pass, and the memory that it saves.

#include "model_fixture.h"

using namespace ziptie;

namespace {

LlamaConfig three_layers() {
  LlamaConfig config = medium_config();
  config.num_hidden_layers = 3;
  return config;
}

std::int64_t rounded(std::int64_t elements) { return (elements * 4 + 63) / 64 * 64; }

}  // namespace

TEST_CASE("losses and gradients are the same to the bit whatever is computed again") {
  const OwnedBatch batch({1, 130, 77}, 517, 8);
  AdapterConfig saved = adapter_of({"q_proj", "up_proj"}, 0.1);
  saved.modules_to_save = {"norm", "embed_tokens"};
  for (const std::optional<AdapterConfig>& adapter :
       {std::optional<AdapterConfig>{}, std::optional(adapter_of(everywhere, 0.1)), std::optional(saved),
        std::optional(adapter_of({"layers.1.mlp.up_proj", "layers.2.self_attn.o_proj"}))}) {
    const auto with = [&](Recompute recompute) {
      return everything_after_a_pass({.adapter = adapter, .recompute = recompute}, 2, batch, three_layers());
    };
    const Values kept = with(Recompute::none);
    CHECK(kept.size() > 1);
    CHECK(kept == with(Recompute::selective));
    CHECK(kept == with(Recompute::full));
  }
}

TEST_CASE("a pass takes the memory that the documented formula says") {
  const auto backend = make_cpu_backend(1);
  const LlamaConfig config = three_layers();
  const OwnedBatch batch({200, 100}, 517, 8);
  const std::int64_t T = 300, H = config.hidden_size, I = config.intermediate_size, L = 3,
                     h = config.num_attention_heads, Q = h * config.head_dim,
                     K = config.num_key_value_heads * config.head_dim, r = 3;
  const auto size = [&](std::initializer_list<std::int64_t> widths) {
    std::int64_t bytes = 0;
    for (const std::int64_t width : widths) bytes += rounded(T * width);
    return bytes;
  };
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
    Llama model(config, {.adapter = adapter_of(everywhere), .recompute = recompute}, *backend);
    model.initialize_base(1);
    const std::int64_t S = model.forward_backward(batch, 1, {}).tokens;
    const std::int64_t ends = size({H, r}), attention = size({Q + 2 * K, Q, h, H, 3 * r, r}),
                       gate_up = size({2 * I, 2 * r});
    const std::int64_t kept = recompute == Recompute::none        ? L * (ends + attention + gate_up)
                              : recompute == Recompute::selective ? L * (ends + attention) + gate_up
                                                                  : L * ends + attention + gate_up;
    const std::int64_t passing = size({H, H, H, I}),
                       backward = size({H, H}) + std::max(size({2 * I, I, I}), size({Q, Q + 2 * K}));
    const std::int64_t supervised = 2 * rounded(S * H) + rounded(S);
    const std::int64_t integers = 2 * rounded(T) + rounded(3) + 2 * rounded(S);
    CHECK(static_cast<std::int64_t>(model.workspace_bytes()) ==
          kept + size({H, H}) + integers + std::max(passing, supervised + size({H}) + backward));
  }
}
