// Every op's result against the formula in its contract, written out plainly in float64.

#include <algorithm>

#include "ops_fixture.h"

using namespace ziptie;

namespace {

/// a[m, k] b[n, k]ᵀ.
Values product_with_transposed(const Values& a, const Values& b, std::int64_t m, std::int64_t n,
                               std::int64_t k) {
  Values c(m * n, 0.0);
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t p = 0; p < k; ++p) c[i * n + j] += a[i * k + p] * b[j * k + p];
  return c;
}

}  // namespace

TEST_CASE("the embedding picks rows, and its gradient adds up at repeated ids") {
  on_every_backend([](OpsFixture& f) {
    const std::int64_t vocab = 40, hidden = 13, tokens = 70;
    const auto ids = f.random_indices(tokens, vocab);
    const Tensor table = f.random({vocab, hidden}), out = f.poisoned({tokens, hidden});
    f.backend->embedding_forward({.table = table}, f.indices(ids), out);
    const Values entries = f.values(table);
    Values expected;
    for (const auto id : ids)
      for (std::int64_t i = 0; i < hidden; ++i) expected.push_back(entries[id * hidden + i]);
    CHECK(relative_error(f.values(out), expected) == 0);

    const Tensor slope = f.random({tokens, hidden}), gradient = f.random({vocab, hidden});
    Values sums = f.values(gradient);
    const Values slopes = f.values(slope);
    for (std::int64_t t = 0; t < tokens; ++t)
      for (std::int64_t i = 0; i < hidden; ++i) sums[ids[t] * hidden + i] += slopes[t * hidden + i];
    f.backend->embedding_backward({.gradient = gradient}, f.indices(ids), slope);
    CHECK(relative_error(f.values(gradient), sums) < f.tolerance());
  });
}

TEST_CASE("an embedding with an adapter adds scale · a[id] b") {
  on_every_backend([](OpsFixture& f) {
    const std::int64_t vocab = 40, hidden = 77, tokens = 300, r = 5;
    const auto ids = f.random_indices(tokens, vocab);
    const Tensor table = f.random({vocab, hidden}), a = f.random({vocab, r}), b = f.random({r, hidden});
    const Tensor out = f.poisoned({tokens, hidden});
    f.backend->embedding_forward({.table = table, .lora_a = a, .lora_b = b, .scale = 0.6}, f.indices(ids),
                                 out);
    const Values entries = f.values(table), left = f.values(a), right = f.values(b);
    Values expected;
    for (const auto id : ids)
      for (std::int64_t i = 0; i < hidden; ++i) {
        expected.push_back(entries[id * hidden + i]);
        for (std::int64_t k = 0; k < r; ++k)
          expected.back() += 0.6 * left[id * r + k] * right[k * hidden + i];
      }
    CHECK(relative_error(f.values(out), expected) < f.tolerance());
  });
}

TEST_CASE("rows that were gathered return to their places, the others are zero") {
  on_every_backend([](OpsFixture& f) {
    const std::vector<std::uint32_t> rows{1, 2, 5, 300, 599};
    const Tensor x = f.random({600, 48}), picked = f.poisoned({5, 48}), back = f.poisoned({600, 48});
    f.backend->gather_rows(x, f.indices(rows), picked);
    f.backend->scatter_rows(picked, f.indices(rows), back);
    const Values all = f.values(x);
    Values expected(600 * 48, 0.0);
    for (const auto row : rows)
      for (int i = 0; i < 48; ++i) expected[row * 48 + i] = all[row * 48 + i];
    CHECK(relative_error(f.values(back), expected) == 0);
  });
}

TEST_CASE("rmsnorm divides by the root mean square of the sum") {
  on_every_backend([](OpsFixture& f) {
    for (const std::int64_t hidden : {1, 7, 64, 172}) {
      const std::int64_t tokens = 300;
      const Tensor x = f.random({tokens, hidden}), addend = f.random({tokens, hidden}),
                   weight = f.random({hidden});
      const Tensor sum = f.poisoned({tokens, hidden}), out = f.poisoned({tokens, hidden});
      f.backend->rmsnorm_residual_forward(x, addend, weight, 1e-5, sum, out);
      const Values added = f.values(addend), scales = f.values(weight);
      Values expected_sum = f.values(x), expected(tokens * hidden);
      for (std::int64_t i = 0; i < tokens * hidden; ++i) expected_sum[i] += added[i];
      const auto normalise = [&](const Values& values) {
        for (std::int64_t t = 0; t < tokens; ++t) {
          double squares = 0;
          for (std::int64_t i = 0; i < hidden; ++i)
            squares += values[t * hidden + i] * values[t * hidden + i];
          for (std::int64_t i = 0; i < hidden; ++i)
            expected[t * hidden + i] =
                values[t * hidden + i] / std::sqrt(squares / double(hidden) + 1e-5) * scales[i];
        }
      };
      normalise(expected_sum);
      CHECK(relative_error(f.values(sum), expected_sum) < f.tolerance());
      CHECK(relative_error(f.values(out), expected) < f.tolerance());

      const Tensor alone = f.poisoned({tokens, hidden});
      f.backend->rmsnorm_residual_forward(x, {}, weight, 1e-5, {}, alone);
      normalise(f.values(x));
      CHECK(relative_error(f.values(alone), expected) < f.tolerance());
    }
  });
}

TEST_CASE("a linear layer multiplies by its weight and adds its adapters") {
  on_every_backend([](OpsFixture& f) {
    // One row as in generation, one tile, several tiles of rows, several tiles of columns.
    struct Shape {
      std::int64_t tokens, in, out;
    };
    for (const auto [tokens, in, out] :
         {Shape{1, 64, 300}, Shape{5, 3, 4}, Shape{300, 40, 33}, Shape{20, 17, 1100}}) {
      const std::int64_t r = 3, first = out / 4, adapted = out / 2;
      const Tensor x = f.random({tokens, in}), weight = f.random({out, in}), y = f.poisoned({tokens, out});
      f.backend->linear_forward(x, {.weight = weight}, {}, y, {});
      Values expected = product_with_transposed(f.values(x), f.values(weight), tokens, out, in);
      CHECK(relative_error(f.values(y), expected) < f.tolerance());

      const Tensor a = f.random({r, in}), b = f.random({adapted, r});
      const std::vector<Lora> adapters{{first, b, f.zeros({adapted, r}), 0.7, 0}};
      const Tensor hidden = f.poisoned({tokens, r}), adapted_y = f.poisoned({tokens, out});
      f.backend->linear_forward(
          x, {.weight = weight, .adapters = adapters, .lora_a = a, .gradient_lora_a = f.zeros({r, in})}, {},
          adapted_y, hidden);
      const Values inner = product_with_transposed(f.values(x), f.values(a), tokens, r, in);
      const Values outer = product_with_transposed(inner, f.values(b), tokens, adapted, r);
      for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t j = 0; j < adapted; ++j)
          expected[t * out + first + j] += 0.7 * outer[t * adapted + j];
      CHECK(relative_error(f.values(hidden), inner) < f.tolerance());
      CHECK(relative_error(f.values(adapted_y), expected) < f.tolerance());
    }
  });
}

TEST_CASE("dropout keeps 1 − p of the adapter's input, scaled up, and by its key and row alone") {
  on_every_backend([](OpsFixture& f) {
    // A = identity shows the masked input as lora_hidden; weight and B are zero.
    const std::int64_t width = 96, tokens = 400;
    Values identity(width * width, 0.0);
    for (std::int64_t i = 0; i < width; ++i) identity[i * width + i] = 1;
    const Tensor a = f.tensor({width, width}, identity), b = f.zeros({8, width}),
                 weight = f.zeros({8, width});
    const Tensor ones = f.tensor({tokens, width}, Values(tokens * width, 1.0)), y = f.poisoned({tokens, 8});
    const auto masked = [&](Dropout dropout, std::uint32_t stream, std::int64_t rows) {
      const std::vector<Lora> adapters{{0, b, f.zeros({8, width}), 1, stream}};
      Tensor x = ones;
      x.shape[0] = rows;
      const Tensor hidden = f.poisoned({rows, width});
      f.backend->linear_forward(
          x,
          {.weight = weight, .adapters = adapters, .lora_a = a, .gradient_lora_a = f.zeros({width, width})},
          dropout, y, hidden);
      return f.values(hidden);
    };
    const double p = 0.3;
    const Values mask = masked({p, 17}, 4, tokens);
    const auto dropped = static_cast<double>(std::count(mask.begin(), mask.end(), 0.0));
    const double largest = *std::max_element(mask.begin(), mask.end());
    const auto kept = static_cast<double>(std::count(mask.begin(), mask.end(), largest));
    CHECK(std::abs(largest - 1 / (1 - p)) < 1e-6);
    CHECK(dropped + kept == double(mask.size()));
    const double deviation = std::sqrt(p * (1 - p) / double(mask.size()));
    CHECK(std::abs(kept / double(mask.size()) - (1 - p)) < 5 * deviation);
    CHECK(masked({p, 17}, 4, tokens) == mask);
    CHECK(masked({p, 18}, 4, tokens) != mask);
    CHECK(masked({p, 17}, 5, tokens) != mask);
    CHECK(masked({p, 17}, 4, 3) == Values(mask.begin(), mask.begin() + 3 * width));
    CHECK(Values(mask.begin(), mask.begin() + width) !=
          Values(mask.begin() + width, mask.begin() + 2 * width));
  });
}

TEST_CASE("rope turns the halves of queries and keys, leaves values, and turns back") {
  on_every_backend([](OpsFixture& f) {
    for (const std::int64_t half : {3, 4, 8}) {
      const HeadLayout layout{4, 2, 2 * half};
      const std::int64_t tokens = 50;
      const Tensor qkv = f.random({tokens, layout.row()}), table = f.random({20, layout.head_dim});
      const auto positions = f.random_indices(tokens, 20);
      const Values before = f.values(qkv), angles = f.values(table);
      f.backend->rope(qkv, f.indices(positions), table, layout, Rotation::forward);
      Values expected = before;
      for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t head = 0; head < 6; ++head)
          for (std::int64_t i = 0; i < half; ++i) {
            const double cosine = angles[positions[t] * 2 * half + i],
                         sine = angles[positions[t] * 2 * half + half + i];
            const std::int64_t first = t * layout.row() + head * 2 * half + i, second = first + half;
            expected[first] = before[first] * cosine - before[second] * sine;
            expected[second] = before[second] * cosine + before[first] * sine;
          }
      CHECK(relative_error(f.values(qkv), expected) < f.tolerance());

      Values rotations;
      for (int position = 0; position < 20; ++position) {
        for (int i = 0; i < half; ++i) rotations.push_back(std::cos(position * (i + 1)));
        for (int i = 0; i < half; ++i) rotations.push_back(std::sin(position * (i + 1)));
      }
      const Tensor turns = f.tensor({20, 2 * half}, rotations);
      const Values original = f.values(qkv);
      f.backend->rope(qkv, f.indices(positions), turns, layout, Rotation::forward);
      f.backend->rope(qkv, f.indices(positions), turns, layout, Rotation::backward);
      CHECK(relative_error(f.values(qkv), original) < f.tolerance());
    }
  });
}

TEST_CASE("a head tells the loss of a target and the likeliest token, of equal ones the lowest id") {
  on_every_backend([](OpsFixture& f) {
    const std::int64_t rows = 300, width = 20, vocab = 531;
    const Tensor x = f.random({rows, width}), losses = f.poisoned({rows}), same = f.poisoned({rows});
    Values weights = f.values(f.random({vocab, width}));
    // The last token is a copy of the tenth, so the two always tie.
    std::copy_n(weights.begin() + 10 * width, width, weights.end() - width);
    const Tensor weight = f.tensor({vocab, width}, weights),
                 likeliest = f.indices(std::vector<std::uint32_t>(rows));
    const auto targets = f.random_indices(rows, vocab);
    f.backend->head_likelihood(x, {.weight = weight}, f.indices(targets), losses, likeliest);
    f.backend->head_cross_entropy(x, {.weight = weight}, {}, f.indices(targets), 1, same, {});
    CHECK(f.values(losses) == f.values(same));
    std::vector<std::uint32_t> found(rows);
    f.backend->copy_to_host(found.data(), likeliest.data, rows * sizeof(std::uint32_t));
    const Values inputs = f.values(x);
    for (std::int64_t row = 0; row < rows; ++row) {
      REQUIRE(found[row] < vocab - 1);
      const auto logit = [&](std::int64_t id) {
        double sum = 0;
        for (std::int64_t i = 0; i < width; ++i) sum += inputs[row * width + i] * weights[id * width + i];
        return sum;
      };
      for (std::int64_t id = 0; id < vocab; ++id) CHECK(logit(found[row]) >= logit(id) - 1e-5);
    }
  });
}

TEST_CASE("swiglu is silu(gate) · up") {
  on_every_backend([](OpsFixture& f) {
    const std::int64_t tokens = 200, width = 91;
    const Tensor gate_up = f.random({tokens, 2 * width}, 4), out = f.poisoned({tokens, width});
    f.backend->swiglu_forward(gate_up, out);
    Values expected;
    const Values in = f.values(gate_up);
    for (std::int64_t t = 0; t < tokens; ++t)
      for (std::int64_t i = 0; i < width; ++i) {
        const double gate = in[t * 2 * width + i];
        expected.push_back(gate / (1 + std::exp(-gate)) * in[t * 2 * width + width + i]);
      }
    CHECK(relative_error(f.values(out), expected) < f.tolerance());
  });
}

TEST_CASE("swiglu's gates may be as large as they like") {
  on_every_backend([](OpsFixture& f) {
    const Values gates{-1e30, -200, -90, 0, 90, 200, 1e30};
    const auto width = static_cast<std::int64_t>(gates.size());
    Values both = gates;
    both.insert(both.end(), gates.size(), 2.0);
    const Tensor gate_up = f.tensor({1, 2 * width}, both), out = f.poisoned({1, width});
    const Tensor slopes = f.poisoned({1, 2 * width});
    f.backend->swiglu_forward(gate_up, out);
    f.backend->swiglu_backward(gate_up, f.tensor({1, width}, Values(gates.size(), 1.0)), slopes);
    const Values values = f.values(out), gradient = f.values(slopes);
    for (std::int64_t i = 0; i < width; ++i) {
      const double silu = std::max(gates[i], 0.0);
      CHECK(values[i] == doctest::Approx(2 * silu));
      CHECK(gradient[i] == doctest::Approx(gates[i] > 0 ? 2 : gates[i] < 0 ? 0 : 1));
      CHECK(gradient[width + i] == doctest::Approx(silu));
    }
  });
}

TEST_CASE("the head's loss is the negative log-likelihood of each target") {
  on_every_backend([](OpsFixture& f) {
    for (const std::int64_t vocab : {3, 50, 2000}) {
      const std::int64_t rows = 140, hidden = 24;
      const Tensor x = f.random({rows, hidden}), weight = f.random({vocab, hidden}),
                   losses = f.poisoned({rows});
      const auto targets = f.random_indices(rows, static_cast<std::uint32_t>(vocab));
      f.backend->head_cross_entropy(x, {.weight = weight}, {}, f.indices(targets), 1, losses, {});
      const Values logits = product_with_transposed(f.values(x), f.values(weight), rows, vocab, hidden);
      Values expected;
      for (std::int64_t row = 0; row < rows; ++row) {
        double total = 0;
        for (std::int64_t id = 0; id < vocab; ++id) total += std::exp(logits[row * vocab + id]);
        expected.push_back(std::log(total) - logits[row * vocab + targets[row]]);
      }
      CHECK(relative_error(f.values(losses), expected) < f.tolerance());
    }
  });
}

TEST_CASE("sums, squared norms and zeroes") {
  on_every_backend([](OpsFixture& f) {
    for (const std::int64_t n : {1, 9, 16384, 50001}) {
      const Tensor x = f.random({n});
      double sum = 0, squares = 0, magnitude = 0;
      for (const double value : f.values(x)) {
        sum += value;
        squares += value * value;
        magnitude += std::abs(value);
      }
      CHECK(std::abs(f.backend->sum(x) - sum) < 1e-12 * magnitude);
      CHECK(std::abs(f.backend->squared_norm(x) - squares) < 1e-12 * squares);
      f.backend->fill_zero(x);
      CHECK(f.backend->squared_norm(x) == 0);
    }
  });
}

TEST_CASE("adamw decays first, then takes the bias-corrected step") {
  on_every_backend([](OpsFixture& f) {
    const std::int64_t n = 20000;
    const Tensor parameter = f.random({n}), gradient = f.random({n}), first = f.zeros({n}),
                 second = f.zeros({n});
    Values p = f.values(parameter), m(n, 0.0), v(n, 0.0);
    const Values g = f.values(gradient);
    const Tensor clip = f.clip(2, 0.5);
    for (int step = 1; step <= 3; ++step) {
      f.backend->adamw(parameter, gradient, first, second, {0.01, 0.9, 0.99, 1e-8, 0.1, step}, clip);
      for (std::int64_t i = 0; i < n; ++i) {
        p[i] *= 1 - 0.01 * 0.1;
        m[i] = 0.9 * m[i] + 0.1 * (0.5 * g[i]);
        v[i] = 0.99 * v[i] + 0.01 * (0.5 * g[i]) * (0.5 * g[i]);
        p[i] -=
            0.01 * (m[i] / (1 - std::pow(0.9, step))) / (std::sqrt(v[i] / (1 - std::pow(0.99, step))) + 1e-8);
      }
    }
    CHECK(relative_error(f.values(parameter), p) < f.tolerance());
    CHECK(relative_error(f.values(first), m) < f.tolerance());
    CHECK(relative_error(f.values(second), v) < f.tolerance());
  });
}

TEST_CASE("NaN in an input shows in the result") {
  on_every_backend([](OpsFixture& f) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Tensor x = f.tensor({1, 4}, {1, nan, 2, 3}), weight = f.random({5, 4}), losses = f.zeros({1});
    f.backend->head_cross_entropy(x, {.weight = weight}, {}, f.indices({0}), 1, losses, {});
    CHECK(std::isnan(f.backend->sum(losses)));
    const Tensor out = f.zeros({1, 2});
    f.backend->swiglu_forward(x, out);
    CHECK(std::isnan(f.backend->sum(out)));
    CHECK(std::isnan(f.backend->squared_norm(x)));
  });
}
