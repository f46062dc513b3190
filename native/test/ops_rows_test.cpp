// Linear layers over so many rows that gradients are summed in parts, and adapters folded into weights.

#include <doctest/doctest.h>

#include "ops_fixture.h"

using namespace ziptie;

namespace {

constexpr std::int64_t rows = 1100, in = 40, out = 50, r = 3, other_r = 5;

/// What goes into a layer with two adapters, the same in every type and on any number of threads.
struct Inputs {
  Values x, weight, slope, a, b, other_b;
};

/// Everything that comes out of its forward and backward passes.
Values everything(OpsFixture& f, const Inputs& inputs, double probability, bool frozen) {
  const Tensor x = f.tensor({rows, in}, inputs.x), slope = f.tensor({rows, out}, inputs.slope);
  const Tensor gradient_weight = f.zeros({out, in}), gradient_a = f.zeros({r + other_r, in});
  const Tensor gradient_b = f.zeros({20, r}), gradient_other_b = f.zeros({17, other_r});
  const std::vector<Lora> adapters{
      {5, f.tensor({20, r}, inputs.b), gradient_b, 0.7, 3},
      {out - 17, f.tensor({17, other_r}, inputs.other_b), gradient_other_b, 1.3, 4}};
  Linear linear{.weight = f.tensor({out, in}, inputs.weight),
                .adapters = adapters,
                .lora_a = f.tensor({r + other_r, in}, inputs.a),
                .gradient_lora_a = gradient_a};
  if (!frozen) linear.gradient = gradient_weight;
  const Dropout dropout{probability, 99};
  const Tensor y = f.poisoned({rows, out}), hidden = f.poisoned({rows, r + other_r});
  const Tensor gradient_x = f.poisoned({rows, in});
  f.backend->linear_forward(x, linear, dropout, y, hidden);
  f.backend->linear_backward(x, linear, dropout, hidden, slope, gradient_x);
  Values all;
  for (const Tensor& tensor :
       {y, hidden, gradient_x, gradient_weight, gradient_a, gradient_b, gradient_other_b}) {
    const Values values = f.values(tensor);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

}  // namespace

TEST_CASE(
    "a layer over many rows: any number of threads gives the same bits, and float32 what float64 gives") {
  OpsFixture wide(make_cpu_backend(2), DType::f64);
  OpsFixture narrow(make_cpu_backend(1), DType::f32);
  const auto values = [&](std::initializer_list<std::int64_t> shape) {
    return narrow.values(narrow.random(shape));
  };
  const Inputs inputs{values({rows, in}),        values({out, in}), values({rows, out}),
                      values({r + other_r, in}), values({20, r}),   values({17, other_r})};
  for (const double probability : {0.0, 0.25})
    for (const bool frozen : {false, true}) {
      CAPTURE(probability);
      CAPTURE(frozen);
      const Values alone = everything(narrow, inputs, probability, frozen);
      for (const int threads : {2, 3, 5}) {
        OpsFixture team(make_cpu_backend(threads), DType::f32);
        CHECK(everything(team, inputs, probability, frozen) == alone);
      }
      CHECK(relative_error(alone, everything(wide, inputs, probability, frozen)) < narrow.tolerance());
    }
}
