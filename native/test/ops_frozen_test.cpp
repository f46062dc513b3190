// Frozen weights in bfloat16 and NF4: ops on them give what they give on the weights they stand for.

#include <algorithm>
#include <array>

#include "ops_fixture.h"

using namespace ziptie;

namespace {

constexpr std::array<float, 16> codes = {-1.0F,
                                         -0.6961928009986877F,
                                         -0.5250730514526367F,
                                         -0.39491748809814453F,
                                         -0.28444138169288635F,
                                         -0.18477343022823334F,
                                         -0.09105003625154495F,
                                         0.0F,
                                         0.07958029955625534F,
                                         0.16093020141124725F,
                                         0.24611230194568634F,
                                         0.33791524171829224F,
                                         0.44070982933044434F,
                                         0.5626170039176941F,
                                         0.7229568362236023F,
                                         1.0F};

/// A weight quantised in parts of so many rows, and what it stands for.
struct Quantized {
  Quantized(OpsFixture& f, const std::vector<std::int64_t>& parts, std::int64_t in, bool nested) {
    std::int64_t rows = 0;
    Values all;
    for (const std::int64_t part : parts) {
      const Tensor weight = f.floats({part, in}), back = f.floats({part, in});
      f.set(weight, f.values(f.random({part, in}, 0.1)));
      nf4.push_back(f.nf4(rows, part, in, nested));
      f.backend->quantize_nf4(weight, nf4.back());
      f.backend->dequantize_nf4(nf4.back(), back);
      for (const double value : f.values(back)) all.push_back(value);
      rows += part;
    }
    plain = f.tensor({rows, in}, all);
    shape = plain;
    shape.data = nullptr;
  }

  std::vector<Nf4> nf4;
  Tensor plain, shape;
};

/// Forward, gradient of x and adapters, losses and their gradients with one weight, as one list of numbers.
Values everything(OpsFixture& f, const Tensor& x, const Linear& linear,
                  const std::vector<std::uint32_t>& targets) {
  const std::int64_t tokens = x.shape[0], in = x.shape[1], out = linear.weight.shape[0];
  const Tensor y = f.poisoned({tokens, out}), gradient_x = f.poisoned({tokens, in}),
               hidden = linear.lora_a.data ? f.poisoned({tokens, linear.lora_a.shape[0]}) : Tensor{},
               losses = f.poisoned({tokens}), head_gradient = f.poisoned({tokens, in});
  const Dropout dropout{linear.lora_a.data ? 0.25 : 0, 5};
  f.backend->linear_forward(x, linear, dropout, y, hidden);
  f.backend->linear_backward(x, linear, dropout, hidden, y, gradient_x);
  f.backend->head_cross_entropy(x, linear, dropout, f.indices(targets), 0.5, losses, head_gradient);
  Values all;
  for (const Tensor& tensor : {y, gradient_x, losses, head_gradient, hidden, linear.gradient_lora_a})
    if (tensor.data)
      for (const double value : f.values(tensor)) all.push_back(value);
  return all;
}

struct Shape {
  std::int64_t tokens, in, out;
};
/// One row as in generation, odd sizes, several tiles, and weights that are packed in several parts.
constexpr Shape shapes[] = {{1, 96, 50}, {3, 33, 7}, {130, 75, 531}, {20, 1100, 40}, {7, 70, 1100}};

}  // namespace

TEST_CASE("a linear layer and a head with a bfloat16 weight") {
  on_every_backend([](OpsFixture& f) {
    for (const auto [tokens, in, out] : shapes) {
      CAPTURE(in);
      const Tensor weight = f.random({out, in}), x = f.random({tokens, in}), bias = f.random({out});
      const Tensor narrow = f.narrowed(weight);
      const auto targets = f.random_indices(tokens, static_cast<std::uint32_t>(out));
      CHECK(everything(f, x, {.weight = narrow, .bias = bias}, targets) ==
            everything(f, x, {.weight = weight, .bias = bias}, targets));
    }
  });
}

TEST_CASE("an embedding with a bfloat16 table") {
  on_every_backend([](OpsFixture& f) {
    const Tensor table = f.random({30, 41}), narrow = f.narrowed(table), out = f.poisoned({200, 41}),
                 expected = f.poisoned({200, 41});
    const Tensor ids = f.indices(f.random_indices(200, 30));
    f.backend->embedding_forward({.table = narrow}, ids, out);
    f.backend->embedding_forward({.table = table}, ids, expected);
    CHECK(f.values(out) == f.values(expected));
  });
}

TEST_CASE("a linear layer and a head with a weight in NF4") {
  on_every_backend([](OpsFixture& f) {
    for (const bool nested : {false, true})
      for (const auto [tokens, in, out] : shapes) {
        CAPTURE(in);
        const Quantized weight(f, {out / 2, 1, out - out / 2 - 1}, in, nested);
        const Tensor x = f.random({tokens, in});
        const auto targets = f.random_indices(tokens, static_cast<std::uint32_t>(out));
        CHECK(everything(f, x, {.weight = weight.shape, .quantized = weight.nf4}, targets) ==
              everything(f, x, {.weight = weight.plain}, targets));
      }
  });
}

TEST_CASE("NF4 takes the nearest code, even elements in the high nibble, and gives back code · absmax") {
  OpsFixture f(make_cpu_backend(2), DType::f32);
  for (const std::int64_t in : {1, 63, 64, 65, 200, 1025}) {
    CAPTURE(in);
    const std::int64_t rows = 3;
    const Tensor weight = f.random({rows, in}), back = f.poisoned({rows, in});
    Values values = f.values(weight);
    values[0] = 50;  // an outlier
    if (in > 64) std::fill(values.begin() + 64, values.begin() + 128, 0.0);
    f.set(weight, values);
    const Nf4 to = f.nf4(0, rows, in, false);
    f.backend->quantize_nf4(weight, to);
    f.backend->dequantize_nf4(to, back);
    const auto packed = f.bytes(to.codes);
    const Values decoded = f.values(back);
    const auto n = static_cast<std::int64_t>(values.size());
    for (std::int64_t block = 0; block * 64 < n; ++block) {
      const std::int64_t end = std::min(n, block * 64 + 64);
      float high = 0;
      for (std::int64_t i = block * 64; i < end; ++i)
        high = std::max(high, std::abs(static_cast<float>(values[i])));
      for (std::int64_t i = block * 64; i < end; ++i) {
        const float scaled = high > 0 ? static_cast<float>(values[i]) / high : 0;
        const auto nearest = *std::ranges::min_element(
            codes, [&](float a, float b) { return std::abs(a - scaled) < std::abs(b - scaled); });
        const int code = i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15;
        CHECK(codes[code] == nearest);
        CHECK(decoded[i] == double(nearest * high));
      }
    }
  }
}

TEST_CASE("double quantisation keeps absmax to within its 8 bits, and constant weights exactly") {
  OpsFixture f(make_cpu_backend(2), DType::f32);
  const std::int64_t rows = 70, in = 640;  // 700 blocks: three of the outer kind, the last one short
  const Tensor weight = f.random({rows, in}), plain = f.poisoned({rows, in}), back = f.poisoned({rows, in});
  const Nf4 once = f.nf4(0, rows, in, false), twice = f.nf4(0, rows, in, true);
  f.backend->quantize_nf4(weight, once);
  f.backend->quantize_nf4(weight, twice);
  CHECK(f.bytes(once.codes) == f.bytes(twice.codes));
  f.backend->dequantize_nf4(once, plain);
  f.backend->dequantize_nf4(twice, back);
  CHECK(relative_error(f.values(back), f.values(plain)) < 0.01);

  f.set(weight, Values(rows * in, -0.375));
  f.backend->quantize_nf4(weight, twice);
  f.backend->dequantize_nf4(twice, back);
  CHECK(f.values(back) == Values(rows * in, -0.375));
  f.set(weight, Values(rows * in, 0.0));
  f.backend->quantize_nf4(weight, twice);
  f.backend->dequantize_nf4(twice, back);
  CHECK(f.values(back) == Values(rows * in, 0.0));
}

TEST_CASE("NF4 into bfloat16 is NF4 into float, rounded") {
  OpsFixture f(make_cpu_backend(2), DType::f32);
  const Quantized weight(f, {9}, 117, true);
  const Tensor back = f.floats({9, 117}), narrow = f.narrowed(f.random({9, 117}));
  f.backend->dequantize_nf4(weight.nf4[0], narrow);
  f.backend->dequantize_nf4(weight.nf4[0], back);
  CHECK(f.bytes(narrow) == f.bytes(f.narrowed(back)));
}

TEST_CASE("ops on frozen weights and adapters give the same bits on one, two and five threads") {
  const auto result = [](int threads, DType stored) {
    OpsFixture f(make_cpu_backend(threads), DType::f32);
    const std::int64_t tokens = 300, in = 1030, out = 1200, r = 5;
    // Numbers that do not differ from run to run.
    const auto made = [&](std::initializer_list<std::int64_t> shape, double step) {
      const Tensor tensor = f.zeros(shape);
      Values values(tensor.elements());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(step * double(i)) * 0.1;
      f.set(tensor, values);
      return tensor;
    };
    const Tensor weight = made({out, in}, 0.37), x = made({tokens, in}, 1.7), a = made({r, in}, 0.9),
                 b = made({700, r}, 0.3), ids = f.indices(std::vector<std::uint32_t>(tokens, 3));
    const std::vector<Lora> adapters{{37, b, f.zeros({700, r}), 2, 1}};
    Linear linear{.weight = weight, .adapters = adapters, .lora_a = a, .gradient_lora_a = f.zeros({r, in})};
    std::vector<Nf4> nf4{f.nf4(0, out, in, true)};
    if (stored == DType::bf16) linear.weight = f.narrowed(weight);
    if (stored == DType::u8) {
      f.backend->quantize_nf4(weight, nf4[0]);
      linear.quantized = nf4;
      linear.weight.data = nullptr;
    }
    Values all = everything(f, x, linear, std::vector<std::uint32_t>(tokens, 11));
    for (const double value : f.values(adapters[0].gradient_b)) all.push_back(value);
    const Tensor embedded = f.poisoned({tokens, in}), table_a = made({out, r}, 0.2),
                 table_b = made({r, in}, 0.4);
    const Embedding embedding{.table = weight,
                              .lora_a = table_a,
                              .lora_b = table_b,
                              .gradient_lora_a = f.zeros({out, r}),
                              .gradient_lora_b = f.zeros({r, in})};
    f.backend->embedding_forward(embedding, ids, embedded);
    f.backend->embedding_backward(embedding, ids, embedded);
    for (const Tensor& tensor : {embedded, embedding.gradient_lora_a, embedding.gradient_lora_b})
      for (const double value : f.values(tensor)) all.push_back(value);
    return all;
  };
  for (const DType stored : {DType::f32, DType::bf16, DType::u8}) {
    const Values one = result(1, stored);
    CHECK(relative_error(result(2, stored), one) == 0);
    CHECK(relative_error(result(5, stored), one) == 0);
  }
}
