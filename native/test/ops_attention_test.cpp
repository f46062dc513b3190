// Attention against its formula, written out plainly in float64.

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops_fixture.h"

using namespace ziptie;

namespace {

/// Causal attention of the rows [begin, end) of `qkv`, into the same rows of `out`.
void plain_attention(const Values& qkv, const HeadLayout& layout, std::int64_t begin, std::int64_t end,
                     Values& out, Values& log_sum) {
  const std::int64_t row = layout.row(), width = layout.head_dim, group = layout.heads / layout.kv_heads;
  for (std::int64_t t = begin; t < end; ++t)
    for (std::int64_t head = 0; head < layout.heads; ++head) {
      const double* query = &qkv[t * row + head * width];
      const std::int64_t key_column = (layout.heads + head / group) * width;
      Values weights;
      double total = 0, high = -std::numeric_limits<double>::infinity();
      for (std::int64_t s = begin; s <= t; ++s) {
        double score = 0;
        for (std::int64_t i = 0; i < width; ++i) score += query[i] * qkv[s * row + key_column + i];
        weights.push_back(score / std::sqrt(double(width)));
        high = std::max(high, weights.back());
      }
      for (double& weight : weights) total += weight = std::exp(weight - high);
      log_sum[t * layout.heads + head] = high + std::log(total);
      for (std::int64_t i = 0; i < width; ++i) {
        double sum = 0;
        for (std::int64_t s = begin; s <= t; ++s)
          sum += weights[s - begin] / total * qkv[s * row + key_column + layout.kv_heads * width + i];
        out[(t * layout.heads + head) * width + i] = sum;
      }
    }
}

}  // namespace

TEST_CASE("attention sees its own sequence up to itself, for any lengths, heads and widths") {
  on_every_backend([](OpsFixture& f) {
    for (const HeadLayout layout :
         {HeadLayout{1, 1, 2}, HeadLayout{8, 4, 8}, HeadLayout{6, 2, 10}, HeadLayout{2, 1, 64}}) {
      // Around the sizes of panels of queries and blocks of keys, and an empty sequence.
      const std::vector<std::uint32_t> lengths{1, 12, 0, 24, 25, 95, 97, 300};
      std::int64_t tokens = 0;
      for (const auto length : lengths) tokens += length;
      const Tensor qkv = f.random({tokens, layout.row()}, 1.5);
      const Tensor out = f.poisoned({tokens, layout.heads * layout.head_dim}),
                   log_sum = f.poisoned({tokens, layout.heads});
      f.backend->attention_varlen_forward(qkv, f.sequences(lengths), layout, out, log_sum);
      const Values in = f.values(qkv);
      Values expected(out.elements()), expected_log_sum(log_sum.elements());
      std::int64_t begin = 0;
      for (const auto length : lengths) {
        plain_attention(in, layout, begin, begin + length, expected, expected_log_sum);
        begin += length;
      }
      CHECK(relative_error(f.values(out), expected) < f.tolerance());
      CHECK(relative_error(f.values(log_sum), expected_log_sum) < f.tolerance());
    }
  });
}

TEST_CASE("attention survives scores far apart") {
  on_every_backend([](OpsFixture& f) {
    const HeadLayout layout{1, 1, 4};
    const std::int64_t tokens = 260;
    const Tensor qkv = f.random({tokens, layout.row()}, 30);
    const Tensor out = f.poisoned({tokens, 4}), log_sum = f.poisoned({tokens, 1});
    f.backend->attention_varlen_forward(qkv, f.sequences({260}), layout, out, log_sum);
    Values expected(out.elements()), expected_log_sum(tokens);
    plain_attention(f.values(qkv), layout, 0, tokens, expected, expected_log_sum);
    // Scores of thousands have a few digits behind the point in f32.
    const double tolerance = f.dtype == DType::f64 ? 1e-9 : 2e-3;
    CHECK(relative_error(f.values(out), expected) < tolerance);
    CHECK(relative_error(f.values(log_sum), expected_log_sum) < tolerance);
  });
}

TEST_CASE("a query that is not finite spoils its own output alone") {
  on_every_backend([](OpsFixture& f) {
    const HeadLayout layout{1, 1, 4};
    const std::int64_t tokens = 260, row = layout.row();
    Values in = f.values(f.random({tokens, row}, 3));
    // The keys come to be of growing length, so that highest scores grow from block to block.
    for (std::int64_t t = 0; t < tokens; ++t)
      for (int i = 4; i < 8; ++i) in[t * row + i] *= double(t) / 50;
    Values expected(tokens * 4), log_sums(tokens);
    plain_attention(in, layout, 0, tokens, expected, log_sums);
    for (const std::int64_t broken : {0, 192, 200}) {
      Values spoilt = in;
      spoilt[broken * row] = std::numeric_limits<double>::infinity();
      const Tensor out = f.poisoned({tokens, 4}), log_sum = f.poisoned({tokens, 1});
      f.backend->attention_varlen_forward(f.tensor({tokens, row}, spoilt), f.sequences({260}), layout, out,
                                          log_sum);
      Values found = f.values(out);
      CHECK(std::isnan(found[broken * 4]));
      for (int i = 0; i < 4; ++i) found[broken * 4 + i] = expected[broken * 4 + i];
      CHECK(relative_error(found, expected) < 100 * f.tolerance());
    }
  });
}

TEST_CASE(
    "attention through a cache equals attention over the whole sequences, in whatever parts they come") {
  on_every_backend([](OpsFixture& f) {
    const HeadLayout layout{6, 2, 10};
    const std::int64_t row = layout.row(), kv_row = layout.kv_heads * layout.head_dim, capacity = 203;
    const std::vector<std::int64_t> lengths{200, 64};
    const std::vector<std::uint32_t> slots{2, 0};  // of three; another's rows must not be touched
    const Tensor keys = f.poisoned({3, capacity, kv_row}), values = f.poisoned({3, capacity, kv_row});
    std::vector<Values> qkv, expected, result(2);
    for (const std::int64_t tokens : lengths) {
      qkv.push_back(f.values(f.random({tokens, row})));
      Values log_sum(tokens * 6);
      plain_attention(qkv.back(), layout, 0, tokens, expected.emplace_back(tokens * 60), log_sum);
    }
    std::vector<std::uint32_t> past{0, 0};
    for (const auto& counts :
         std::vector<std::vector<std::uint32_t>>{{130, 1}, {1, 40}, {1, 1}, {60, 20}, {8, 2}}) {
      Values part;
      for (int i = 0; i < 2; ++i)
        part.insert(part.end(), qkv[i].begin() + past[i] * row, qkv[i].begin() + (past[i] + counts[i]) * row);
      const std::int64_t total = counts[0] + counts[1];
      const Tensor out = f.poisoned({total, 60});
      const CachedSequences cached{f.sequences(counts), f.indices(slots), f.indices(past),
                                   std::max(past[0] + counts[0], past[1] + counts[1])};
      f.backend->attention_cached(f.tensor({total, row}, part), cached, layout, keys, values, out);
      const Values all = f.values(out);
      result[0].insert(result[0].end(), all.begin(), all.begin() + counts[0] * 60);
      result[1].insert(result[1].end(), all.begin() + counts[0] * 60, all.end());
      for (int i = 0; i < 2; ++i) past[i] += counts[i];
    }
    for (int i = 0; i < 2; ++i) {
      REQUIRE(past[i] == lengths[i]);
      CHECK(relative_error(result[i], expected[i]) < f.tolerance());
    }
    const Values all_keys = f.values(keys);
    for (std::int64_t i = capacity * kv_row; i < 2 * capacity * kv_row; ++i) REQUIRE(std::isnan(all_keys[i]));
  });
}

TEST_CASE("attention's gradients in float32 are those in float64, over several panels and blocks") {
  OpsFixture narrow(make_cpu_backend(2), DType::f32), wide(make_cpu_backend(2), DType::f64);
  for (const HeadLayout layout : {HeadLayout{4, 2, 8}, HeadLayout{4, 2, 10}, HeadLayout{2, 1, 64}}) {
    const std::vector<std::uint32_t> lengths{97, 193, 300, 1};
    const std::int64_t tokens = 591, width = layout.heads * layout.head_dim;
    const Values in = narrow.values(narrow.random({tokens, layout.row()}, 1.5));
    const Values slopes = narrow.values(narrow.random({tokens, width}));
    const auto gradient_in = [&](OpsFixture& f) {
      const Tensor qkv = f.tensor({tokens, layout.row()}, in), out = f.poisoned({tokens, width});
      const Tensor log_sum = f.poisoned({tokens, layout.heads}),
                   gradient = f.poisoned({tokens, layout.row()});
      const Sequences sequences = f.sequences(lengths);
      f.backend->attention_varlen_forward(qkv, sequences, layout, out, log_sum);
      f.backend->attention_varlen_backward(qkv, sequences, layout, out, log_sum,
                                           f.tensor({tokens, width}, slopes), gradient);
      return f.values(gradient);
    };
    CHECK(relative_error(gradient_in(narrow), gradient_in(wide)) < narrow.tolerance());
  }
}
