// AdamW, with its state in float or in 8 bits, and the clipping of gradients.
//
// Compiled without contraction into fused multiply-adds: every operation is rounded on its own, so that
// these numbers can be checked to the bit against the formulas.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/backend/cpu/kernels.h"
#include "engine/backend/dynamic_map.h"

namespace ziptie::cpu {

namespace {

constexpr std::int64_t elements_per_task = 16384;
constexpr std::int64_t block_size = 256;

/// What torch.nn.utils.clip_grad_norm_ adds to the norm before it divides by it.
constexpr double clip_epsilon = 1e-6;

/// The constants of one step, computed in float64.
template <class T>
struct Constants {
  explicit Constants(const AdamwStep& step)
      : decay(static_cast<T>(1 - step.learning_rate * step.weight_decay)),
        beta1(static_cast<T>(step.beta1)),
        beta2(static_cast<T>(step.beta2)),
        rest1(static_cast<T>(1 - step.beta1)),
        rest2(static_cast<T>(1 - step.beta2)) {
    const double steps = static_cast<double>(step.step);
    const double correction1 = 1 - std::pow(step.beta1, steps);
    const double correction2 = std::sqrt(1 - std::pow(step.beta2, steps));
    size = static_cast<T>(step.learning_rate * correction2 / correction1);
    epsilon = static_cast<T>(step.epsilon * correction2);
  }

  T decay, beta1, beta2, rest1, rest2;
  T size, epsilon;
};

/// values[i] / absmax to the nearest code. `scaled` and `codes` have room for a block.
void quantize_block(const float* values, std::int64_t count, float absmax,
                    const std::array<float, 255>& between, std::uint8_t* codes) {
  std::array<float, block_size> scaled;
  std::array<std::int32_t, block_size> code{};
  // In a block of zeroes 0 / 1 gives the code of zero, where 0 / 0 would give none.
  const float divisor = absmax > 0 ? absmax : 1;
  for (std::int64_t i = 0; i < count; ++i) scaled[i] = values[i] / divisor;
  for (std::int64_t i = count; i < block_size; ++i) scaled[i] = 0;
  // Binary search for how many midpoints lie below, all elements in step.
  for (std::int32_t stride = 128; stride > 0; stride /= 2) {
    for (std::int64_t i = 0; i < block_size; ++i) {
      code[i] += scaled[i] > between[code[i] + stride - 1] ? stride : 0;
    }
  }
  for (std::int64_t i = 0; i < count; ++i) codes[i] = static_cast<std::uint8_t>(code[i]);
}

}  // namespace

void clip_scale(Context context, std::span<const Tensor> gradients, double limit, const Tensor& clip) {
  double squares = 0;
  for (const Tensor& gradient : gradients) {
    squares += gradient.dtype == DType::f64 ? sum<double>(context, gradient, true)
                                            : sum<float>(context, gradient, true);
  }
  const double norm = std::sqrt(squares);
  data<double>(clip)[0] = norm;
  data<double>(clip)[1] = std::min(1.0, limit / (norm + clip_epsilon));
}

template <class T>
void adamw(Context context, const Tensor& parameter, const Tensor& gradient, const Tensor& first_moment,
           const Tensor& second_moment, const AdamwStep& step, const Tensor& clip) {
  const auto* norm_and_scale = data<const double>(clip);
  if (!std::isfinite(norm_and_scale[0])) return;
  T* p = data<T>(parameter);
  const T* g = data<const T>(gradient);
  T* m = data<T>(first_moment);
  T* v = data<T>(second_moment);
  const Constants<T> c(step);
  const T scale = static_cast<T>(norm_and_scale[1]);
  const bool decays_first = step.decay_order == DecayOrder::before_update;
  const T before = decays_first ? c.decay : T{1}, after = decays_first ? T{1} : c.decay;
  context.threads.run_blocks(parameter.elements(), elements_per_task,
                             [=](std::int64_t begin, std::int64_t end, int) {
                               for (std::int64_t i = begin; i < end; ++i) {
                                 const T slope = g[i] * scale;
                                 m[i] = c.beta1 * m[i] + c.rest1 * slope;
                                 v[i] = c.beta2 * v[i] + c.rest2 * slope * slope;
                                 const T update = c.size * (m[i] / (std::sqrt(v[i]) + c.epsilon));
                                 p[i] = (p[i] * before - update) * after;
                               }
                             });
}

void adamw8(Context context, const Tensor& parameter, const Tensor& gradient, const Adamw8State& state,
            const AdamwStep& step, const Tensor& clip) {
  static constexpr auto between_signed = midpoints(signed_dynamic_map);
  static constexpr auto between_unsigned = midpoints(unsigned_dynamic_map);
  const Constants<float> c(step);
  const auto scale = static_cast<float>(data<const double>(clip)[1]);
  const bool decays_first = step.decay_order == DecayOrder::before_update;
  const float before = decays_first ? c.decay : 1, after = decays_first ? 1 : c.decay;
  const auto update_block = [&](std::int64_t block, std::int64_t elements) {
    const std::int64_t begin = block * block_size, count = std::min(block_size, elements - begin);
    float* p = data<float>(parameter) + begin;
    const float* g = data<const float>(gradient) + begin;
    std::uint8_t* first = data<std::uint8_t>(state.first) + begin;
    std::uint8_t* second = data<std::uint8_t>(state.second) + begin;
    float& first_absmax = data<float>(state.first_absmax)[block];
    float& second_absmax = data<float>(state.second_absmax)[block];
    std::array<float, block_size> m, v;
    float largest_m = 0, largest_v = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const float slope = g[i] * scale;
      const bool finite = std::abs(slope) <= std::numeric_limits<float>::max();
      m[i] = c.beta1 * (signed_dynamic_map[first[i]] * first_absmax) + c.rest1 * slope;
      v[i] = c.beta2 * (unsigned_dynamic_map[second[i]] * second_absmax) + c.rest2 * slope * slope;
      const float updated = (p[i] * before - c.size * (m[i] / (std::sqrt(v[i]) + c.epsilon))) * after;
      p[i] = finite ? updated : p[i];
      m[i] = finite ? m[i] : 0;
      v[i] = finite ? v[i] : 0;
      largest_m = std::max(largest_m, std::abs(m[i]));
      largest_v = std::max(largest_v, v[i]);
    }
    first_absmax = largest_m;
    second_absmax = largest_v;
    quantize_block(m.data(), count, largest_m, between_signed, first);
    quantize_block(v.data(), count, largest_v, between_unsigned, second);
  };
  const std::int64_t elements = parameter.elements();
  const std::int64_t blocks = (elements + block_size - 1) / block_size;
  context.threads.run_blocks(blocks, elements_per_task / block_size,
                             [&](std::int64_t begin, std::int64_t end, int) {
                               for (std::int64_t block = begin; block < end; ++block)
                                 update_block(block, elements);
                             });
}

template void adamw<float>(Context, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                           const AdamwStep&, const Tensor&);
template void adamw<double>(Context, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                            const AdamwStep&, const Tensor&);

}  // namespace ziptie::cpu
