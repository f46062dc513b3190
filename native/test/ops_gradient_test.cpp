// Every op's gradient against central differences in float64. Outputs start as NaN; gradients that an op adds
// to start as random numbers, which are taken off again before the comparison.

#include "ops_fixture.h"

using namespace ziptie;

namespace {

OpsFixture make_fixture() { return OpsFixture(make_cpu_backend(2), DType::f64); }

/// A gradient that an op adds to: what was there before, and what was added.
class Accumulated {
 public:
  Accumulated(OpsFixture& f, std::initializer_list<std::int64_t> shape)
      : fixture_(f), tensor(f.random(shape)), before_(f.values(tensor)) {}

  /// Takes off what was there before.
  Tensor added() const {
    Values values = fixture_.values(tensor);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] -= before_[i];
    fixture_.set(tensor, values);
    return tensor;
  }

 private:
  OpsFixture& fixture_;

 public:
  Tensor tensor;

 private:
  Values before_;
};

}  // namespace

TEST_CASE("rmsnorm's gradients") {
  OpsFixture f = make_fixture();
  for (const std::int64_t hidden : {5, 16}) {
    const std::int64_t tokens = 4;
    const Tensor x = f.random({tokens, hidden}), weight = f.random({hidden}),
                 slope = f.random({tokens, hidden});
    const Accumulated gradient_x(f, {tokens, hidden}), gradient_weight(f, {hidden});
    const Tensor out = f.poisoned({tokens, hidden});
    const auto loss = [&] {
      f.backend->rmsnorm_residual_forward(x, {}, weight, 1e-5, {}, out);
      return f.weighted_sum(out, slope);
    };
    f.backend->rmsnorm_backward(x, weight, 1e-5, slope, gradient_x.tensor, gradient_weight.tensor);
    f.check_gradient("x", loss, x, gradient_x.added());
    f.check_gradient("weight", loss, weight, gradient_weight.added());
  }
}

TEST_CASE("rmsnorm's weight gradient over many rows is the sum of theirs") {
  OpsFixture f = make_fixture();
  const std::int64_t tokens = 5000, hidden = 12;
  const Tensor x = f.random({tokens, hidden}), weight = f.random({hidden}),
               slope = f.random({tokens, hidden});
  const Accumulated gradient_x(f, {tokens, hidden}), gradient_weight(f, {hidden});
  const Tensor out = f.poisoned({tokens, hidden});
  f.backend->rmsnorm_backward(x, weight, 1e-5, slope, gradient_x.tensor, gradient_weight.tensor);
  f.check_gradient(
      "weight",
      [&] {
        f.backend->rmsnorm_residual_forward(x, {}, weight, 1e-5, {}, out);
        return f.weighted_sum(out, slope);
      },
      weight, gradient_weight.added());
}

TEST_CASE("a trainable linear layer's gradients") {
  OpsFixture f = make_fixture();
  const std::int64_t tokens = 700, in = 7, out = 5;  // more rows than one part of the sums over them
  const Tensor x = f.random({tokens, in}), weight = f.random({out, in}), slope = f.random({tokens, out});
  const Tensor y = f.poisoned({tokens, out}), gradient_x = f.poisoned({tokens, in});
  const Accumulated gradient_weight(f, {out, in});
  const Linear linear{.weight = weight, .gradient = gradient_weight.tensor};
  const auto loss = [&] {
    f.backend->linear_forward(x, linear, {}, y, {});
    return f.weighted_sum(y, slope);
  };
  f.backend->linear_backward(x, linear, {}, {}, slope, gradient_x);
  f.check_gradient("x", loss, x, gradient_x);
  f.check_gradient("weight", loss, weight, gradient_weight.added());
}

TEST_CASE("a wide trainable linear layer's weight gradient is slopeᵀ x") {
  OpsFixture f = make_fixture();
  const std::int64_t tokens = 9, in = 2100, out = 2060;  // enough tiles that the rows are not cut
  const Tensor x = f.random({tokens, in}), slope = f.random({tokens, out});
  const Accumulated gradient(f, {out, in});
  f.backend->linear_backward(x, {.weight = f.zeros({out, in}), .gradient = gradient.tensor}, {}, {}, slope,
                             {});
  const Values a = f.values(slope), b = f.values(x);
  Values expected(out * in, 0.0);
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t i = 0; i < out; ++i)
      for (std::int64_t j = 0; j < in; ++j) expected[i * in + j] += a[t * out + i] * b[t * in + j];
  CHECK(relative_error(f.values(gradient.added()), expected) < 1e-12);
}

TEST_CASE("the gradients of a frozen linear layer with adapters, with and without dropout") {
  OpsFixture f = make_fixture();
  struct Shape {
    std::int64_t tokens, in;
  };
  // One tile of columns, several, and more rows than one part of the sums over them.
  for (const auto [tokens, in] : {Shape{140, 6}, Shape{3, 1030}, Shape{600, 6}})
    for (const double probability : {0.0, 0.4}) {
      const std::int64_t out = 11, r = 2, other_r = 3;
      CAPTURE(tokens);
      CAPTURE(probability);
      const Tensor x = f.random({tokens, in}), weight = f.random({out, in}), slope = f.random({tokens, out});
      const Tensor a = f.random({r + other_r, in}), b = f.random({4, r}), other_b = f.random({5, other_r});
      const Accumulated gradient_a(f, {r + other_r, in}), gradient_b(f, {4, r}),
          gradient_other_b(f, {5, other_r});
      const std::vector<Lora> adapters{{1, b, gradient_b.tensor, 0.7, 3},
                                       {6, other_b, gradient_other_b.tensor, 1.3, 4}};
      const Linear linear{
          .weight = weight, .adapters = adapters, .lora_a = a, .gradient_lora_a = gradient_a.tensor};
      const Dropout dropout{probability, 99};
      const Tensor y = f.poisoned({tokens, out}), hidden = f.poisoned({tokens, r + other_r});
      const Tensor gradient_x = f.poisoned({tokens, in});
      const auto loss = [&] {
        f.backend->linear_forward(x, linear, dropout, y, hidden);
        return f.weighted_sum(y, slope);
      };
      loss();
      f.backend->linear_backward(x, linear, dropout, hidden, slope, gradient_x);
      const Tensor added = gradient_a.added();
      f.check_gradient("x", loss, x, gradient_x);
      f.check_gradient("a", loss, a, added);
      f.check_gradient("b", loss, b, gradient_b.added());
      f.check_gradient("b of the other adapter", loss, other_b, gradient_other_b.added());

      // Without a gradient for x, the adapters' are the same.
      loss();
      const Accumulated again(f, {r + other_r, in});
      f.backend->linear_backward(
          x, {.weight = weight, .adapters = adapters, .lora_a = a, .gradient_lora_a = again.tensor}, dropout,
          hidden, slope, {});
      CHECK(relative_error(f.values(again.added()), f.values(added)) < 1e-12);
    }
}

TEST_CASE("the gradients of an adapter on a layer too wide for sums over parts of the rows") {
  OpsFixture f = make_fixture();
  const std::int64_t tokens = 270, in = 14000, out = 9, r = 5;
  const double scale = 0.7;
  const Tensor x = f.random({tokens, in}), slope = f.random({tokens, out});
  const Tensor a = f.random({r, in}), b = f.random({out, r});
  const Accumulated gradient_a(f, {r, in}), gradient_b(f, {out, r});
  const std::vector<Lora> adapters{{0, b, gradient_b.tensor, scale, 0}};
  const Linear linear{
      .weight = f.zeros({out, in}), .adapters = adapters, .lora_a = a, .gradient_lora_a = gradient_a.tensor};
  const Tensor hidden = f.poisoned({tokens, r});
  f.backend->linear_forward(x, linear, {}, f.poisoned({tokens, out}), hidden);
  f.backend->linear_backward(x, linear, {}, hidden, slope, {});
  const Values xs = f.values(x), slopes = f.values(slope), bs = f.values(b), hiddens = f.values(hidden);
  Values expected_a(r * in, 0.0), expected_b(out * r, 0.0);
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t k = 0; k < r; ++k) {
      double inner = 0;
      for (std::int64_t i = 0; i < out; ++i) {
        inner += scale * slopes[t * out + i] * bs[i * r + k];
        expected_b[i * r + k] += scale * slopes[t * out + i] * hiddens[t * r + k];
      }
      for (std::int64_t j = 0; j < in; ++j) expected_a[k * in + j] += inner * xs[t * in + j];
    }
  CHECK(relative_error(f.values(gradient_a.added()), expected_a) < 1e-12);
  CHECK(relative_error(f.values(gradient_b.added()), expected_b) < 1e-12);
}

TEST_CASE("a bias's gradient is the sum of the slopes, and the bias itself is added once") {
  OpsFixture f = make_fixture();
  const std::int64_t tokens = 130, in = 4, out = 70;
  const Tensor x = f.random({tokens, in}), weight = f.random({out, in}), bias = f.random({out}),
               slope = f.random({tokens, out}), y = f.poisoned({tokens, out});
  const Accumulated gradient_bias(f, {out});
  const Linear linear{.weight = weight, .bias = bias, .gradient_bias = gradient_bias.tensor};
  f.backend->linear_backward(x, linear, {}, {}, slope, {});
  f.check_gradient(
      "bias",
      [&] {
        f.backend->linear_forward(x, linear, {}, y, {});
        return f.weighted_sum(y, slope);
      },
      bias, gradient_bias.added());
}

TEST_CASE("the gradients of an embedding with an adapter, trained whole or frozen") {
  OpsFixture f = make_fixture();
  const std::int64_t tokens = 40, vocab = 23, hidden = 70, r = 3;
  for (const bool whole : {true, false}) {
    const Tensor ids = f.indices(f.random_indices(tokens, vocab)), table = f.random({vocab, hidden});
    const Tensor a = f.random({vocab, r}), b = f.random({r, hidden}), slope = f.random({tokens, hidden});
    const Tensor out = f.poisoned({tokens, hidden});
    const Accumulated gradient(f, {vocab, hidden}), gradient_a(f, {vocab, r}), gradient_b(f, {r, hidden});
    const Embedding embedding{.table = table,
                              .gradient = whole ? std::optional(gradient.tensor) : std::nullopt,
                              .lora_a = a,
                              .lora_b = b,
                              .gradient_lora_a = gradient_a.tensor,
                              .gradient_lora_b = gradient_b.tensor,
                              .scale = 1.7};
    const auto loss = [&] {
      f.backend->embedding_forward(embedding, ids, out);
      return f.weighted_sum(out, slope);
    };
    f.backend->embedding_backward(embedding, ids, slope);
    f.check_gradient("a", loss, a, gradient_a.added());
    f.check_gradient("b", loss, b, gradient_b.added());
    if (whole) f.check_gradient("table", loss, table, gradient.added());
  }
}

TEST_CASE("rope's gradient is the opposite rotation") {
  OpsFixture f = make_fixture();
  const HeadLayout layout{2, 1, 4};
  const std::int64_t tokens = 3;
  const Tensor positions = f.indices({0, 1, 2});
  Values turns;
  for (int position = 0; position < 3; ++position)
    for (const double angle :
         {position * 1.0, position * 0.1, M_PI / 2 - position * 1.0, M_PI / 2 - position * 0.1})
      turns.push_back(std::cos(angle));
  const Tensor table = f.tensor({3, 4}, turns), x = f.random({tokens, layout.row()});
  const Tensor slope = f.random({tokens, layout.row()}), rotated = f.poisoned({tokens, layout.row()});
  const auto loss = [&] {
    f.set(rotated, f.values(x));
    f.backend->rope(rotated, positions, table, layout, Rotation::forward);
    return f.weighted_sum(rotated, slope);
  };
  const Tensor gradient = f.tensor({tokens, layout.row()}, f.values(slope));
  f.backend->rope(gradient, positions, table, layout, Rotation::backward);
  f.check_gradient("x", loss, x, gradient);
}

TEST_CASE("attention's gradients") {
  OpsFixture f = make_fixture();
  struct Shape {
    HeadLayout layout;
    std::vector<std::uint32_t> lengths;
  };
  // The last is longer than a block of keys.
  for (const auto& [layout, lengths] :
       {Shape{{2, 1, 6}, {3, 0, 1, 9}}, Shape{{4, 2, 4}, {5, 50}}, Shape{{1, 1, 2}, {140}}}) {
    std::int64_t tokens = 0;
    for (const auto length : lengths) tokens += length;
    const std::int64_t width = layout.heads * layout.head_dim;
    const Tensor qkv = f.random({tokens, layout.row()}), slope = f.random({tokens, width});
    const Tensor out = f.poisoned({tokens, width}), log_sum = f.poisoned({tokens, layout.heads});
    const Tensor gradient = f.poisoned({tokens, layout.row()});
    const Sequences sequences = f.sequences(lengths);
    const auto loss = [&] {
      f.backend->attention_varlen_forward(qkv, sequences, layout, out, log_sum);
      return f.weighted_sum(out, slope);
    };
    loss();
    f.backend->attention_varlen_backward(qkv, sequences, layout, out, log_sum, slope, gradient);
    f.check_gradient("q, k and v", loss, qkv, gradient);
  }
}

TEST_CASE("swiglu's gradient") {
  OpsFixture f = make_fixture();
  const std::int64_t tokens = 3, width = 7;
  const Tensor gate_up = f.random({tokens, 2 * width}, 2), slope = f.random({tokens, width});
  const Tensor out = f.poisoned({tokens, width}), gradient = f.poisoned({tokens, 2 * width});
  f.backend->swiglu_backward(gate_up, slope, gradient);
  f.check_gradient(
      "gate and up",
      [&] {
        f.backend->swiglu_forward(gate_up, out);
        return f.weighted_sum(out, slope);
      },
      gate_up, gradient);
}

TEST_CASE("the head's gradients, scaled") {
  OpsFixture f = make_fixture();
  for (const std::int64_t vocab : {5, 130}) {
    const std::int64_t rows = 6, hidden = 4;
    const double scale = 0.25;
    const Tensor x = f.random({rows, hidden}), weight = f.random({vocab, hidden}),
                 losses = f.poisoned({rows});
    const Tensor targets = f.indices(f.random_indices(rows, static_cast<std::uint32_t>(vocab)));
    const Tensor gradient_x = f.poisoned({rows, hidden});
    const Accumulated gradient_weight(f, {vocab, hidden});
    f.backend->head_cross_entropy(x, {.weight = weight, .gradient = gradient_weight.tensor}, {}, targets,
                                  scale, losses, gradient_x);
    const auto loss = [&] {
      f.backend->head_cross_entropy(x, {.weight = weight}, {}, targets, 1, losses, {});
      return scale * f.backend->sum(losses);
    };
    f.check_gradient("x", loss, x, gradient_x);
    f.check_gradient("weight", loss, weight, gradient_weight.added());
  }
}

TEST_CASE("the gradients of a head with an adapter, over several chunks, with and without dropout") {
  OpsFixture f = make_fixture();
  struct Shape {
    std::int64_t rows, vocab;
    double dropout;
  };
  // The last has more rows than a chunk.
  for (const auto [rows, vocab, probability] :
       {Shape{5, 21, 0}, Shape{5, 21, 0.4}, Shape{130, 131073, 0.4}}) {
    const std::int64_t hidden = 2, r = 1;
    const double scale = 0.3;
    CAPTURE(probability);
    const Tensor x = f.random({rows, hidden}), weight = f.random({vocab, hidden}),
                 losses = f.poisoned({rows});
    const Tensor a = f.random({r, hidden}), b = f.random({vocab, r}), gradient_x = f.poisoned({rows, hidden});
    const Tensor targets = f.indices(f.random_indices(rows, static_cast<std::uint32_t>(vocab)));
    const Accumulated gradient_a(f, {r, hidden}), gradient_b(f, {vocab, r});
    const std::vector<Lora> adapters{{0, b, gradient_b.tensor, 0.8, 5}};
    const Linear head{
        .weight = weight, .adapters = adapters, .lora_a = a, .gradient_lora_a = gradient_a.tensor};
    const Dropout dropout{probability, 7};
    f.backend->head_cross_entropy(x, head, dropout, targets, scale, losses, gradient_x);
    const auto loss = [&] {
      f.backend->head_cross_entropy(x, head, dropout, targets, 1, losses, {});
      return scale * f.backend->sum(losses);
    };
    f.check_gradient("a", loss, a, gradient_a.added());
    if (vocab > 1000) continue;  // one number costs two passes over the vocabulary
    f.check_gradient("x", loss, x, gradient_x);
    f.check_gradient("b", loss, b, gradient_b.added());
  }
}

TEST_CASE("the head's gradients do not depend on how rows fall into chunks") {
  OpsFixture f = make_fixture();
  const std::int64_t rows = 300, hidden = 3, vocab = 130000;  // 129 rows a chunk
  const Tensor x = f.random({rows, hidden}), weight = f.random({vocab, hidden}), losses = f.poisoned({rows});
  const auto ids = f.random_indices(rows, vocab);
  const Tensor gradient_x = f.poisoned({rows, hidden}), gradient_weight = f.zeros({vocab, hidden});
  f.backend->head_cross_entropy(x, {.weight = weight, .gradient = gradient_weight}, {}, f.indices(ids), 1,
                                losses, gradient_x);

  const Values all = f.values(x);
  Values slopes, separate;
  const Tensor sum = f.zeros({vocab, hidden});
  for (std::int64_t first = 0; first < rows; first += 100) {
    const Tensor part =
        f.tensor({100, hidden}, Values(all.begin() + first * hidden, all.begin() + (first + 100) * hidden));
    const Tensor part_losses = f.poisoned({100}), part_slopes = f.poisoned({100, hidden});
    f.backend->head_cross_entropy(part, {.weight = weight, .gradient = sum}, {},
                                  f.indices({ids.begin() + first, ids.begin() + first + 100}), 1, part_losses,
                                  part_slopes);
    for (const double value : f.values(part_losses)) separate.push_back(value);
    for (const double value : f.values(part_slopes)) slopes.push_back(value);
  }
  CHECK(relative_error(f.values(losses), separate) < 1e-12);
  CHECK(relative_error(f.values(gradient_x), slopes) < 1e-12);
  CHECK(relative_error(f.values(gradient_weight), f.values(sum)) < 1e-12);
}
