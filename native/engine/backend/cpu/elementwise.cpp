// Ops whose every output depends on one row or one element: reductions to a number, SwiGLU, rope.

#include <cmath>

#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/vector.h"

namespace ziptie::cpu {

namespace {
constexpr std::int64_t elements_per_task = 16384;
}

template <class T>
double sum(Context context, const Tensor& x, bool squares) {
  const std::int64_t n = x.elements();
  const std::int64_t tasks = (n + elements_per_task - 1) / elements_per_task;
  double* partial = context.workspace.shared<double>(tasks);
  const T* values = data<const T>(x);
  context.threads.run_blocks(n, elements_per_task, [&](std::int64_t begin, std::int64_t end, int) {
    constexpr int columns = 8;  // independent sums, so that additions overlap
    double sums[columns] = {};
    std::int64_t i = begin;
    for (; i + columns <= end; i += columns)
      for (int c = 0; c < columns; ++c) {
        const double value = values[i + c];
        sums[c] += squares ? value * value : value;
      }
    for (int c = 0; i < end; ++i, ++c) {
      const double value = values[i];
      sums[c] += squares ? value * value : value;
    }
    double total = 0;
    for (const double s : sums) total += s;
    partial[begin / elements_per_task] = total;
  });
  double total = 0;
  for (std::int64_t task = 0; task < tasks; ++task) total += partial[task];
  return total;
}

template <class T>
void swiglu_forward(Context context, const Tensor& gate_up, const Tensor& out) {
  const std::int64_t rows = out.shape[0], width = out.shape[1];
  context.threads.run_blocks(rows, rows_per_task(width), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T* gates = data<const T>(gate_up) + row * 2 * width;
      const T* ups = gates + width;
      T* to = data<T>(out) + row * width;
      for_vectors<T>(width, [&](std::int64_t i, auto n) {
        const auto gate = load(gates + i, n), up = load(ups + i, n);
        store<T>(to + i, gate * sigmoid<T>(gate) * up, n);
      });
    }
  });
}

template <class T>
void swiglu_backward(Context context, const Tensor& gate_up, const Tensor& gradient_out,
                     const Tensor& gradient_gate_up) {
  const std::int64_t rows = gradient_out.shape[0], width = gradient_out.shape[1];
  context.threads.run_blocks(rows, rows_per_task(width), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T* gates = data<const T>(gate_up) + row * 2 * width;
      const T* ups = gates + width;
      const T* slopes = data<const T>(gradient_out) + row * width;
      T* to_gates = data<T>(gradient_gate_up) + row * 2 * width;
      T* to_ups = to_gates + width;
      for_vectors<T>(width, [&](std::int64_t i, auto n) {
        const auto gate = load(gates + i, n), up = load(ups + i, n), slope = load(slopes + i, n);
        const auto share = sigmoid<T>(gate), scaled = slope * share;
        store<T>(to_gates + i, scaled * up * (T{1} + gate * (T{1} - share)), n);
        store<T>(to_ups + i, scaled * gate, n);
      });
    }
  });
}

namespace {

/// Rotates the pairs (first[i], second[i]) of `half` elements.
template <class T>
void rotate(std::int64_t half, const T* cosines, const T* sines, T sign, T* __restrict first,
            T* __restrict second) {
  for (std::int64_t i = 0; i < half; ++i) {
    const T a = first[i], b = second[i], sine = sign * sines[i];
    first[i] = a * cosines[i] - b * sine;
    second[i] = b * cosines[i] + a * sine;
  }
}

/// Heads of eight floats, both halves in one vector.
void rotate_narrow(std::int64_t heads, const float* cosines, const float* sines, float sign, float* head) {
  const __m128 sine = _mm_loadu_ps(sines) * sign;
  const __m256 cosine = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(cosines));
  const __m256 signed_sine = _mm256_set_m128(sine, -sine);
  for (; heads > 0; --heads, head += 8) {
    const __m256 both = _mm256_loadu_ps(head);
    _mm256_storeu_ps(head, both * cosine + _mm256_permute2f128_ps(both, both, 1) * signed_sine);
  }
}

}  // namespace

template <class T>
void rope(Context context, const Tensor& qkv, const Tensor& positions, const Tensor& table,
          const HeadLayout& layout, Rotation rotation) {
  const std::int64_t rows = qkv.shape[0], half = layout.head_dim / 2;
  const std::int64_t heads = layout.heads + layout.kv_heads;
  const auto* position = data<const std::uint32_t>(positions);
  const T sign = rotation == Rotation::forward ? T{1} : T{-1};
  context.threads.run_blocks(rows, rows_per_task(layout.row()),
                             [&](std::int64_t begin, std::int64_t end, int) {
                               for (std::int64_t row = begin; row < end; ++row) {
                                 const T* cosines = data<const T>(table) + position[row] * layout.head_dim;
                                 const T* sines = cosines + half;
                                 T* head = data<T>(qkv) + row * layout.row();
                                 if constexpr (sizeof(T) == sizeof(float))
                                   if (half == 4) {
                                     rotate_narrow(heads, cosines, sines, sign, head);
                                     continue;
                                   }
                                 for (std::int64_t h = 0; h < heads; ++h, head += layout.head_dim)
                                   rotate(half, cosines, sines, sign, head, head + half);
                               }
                             });
}

#define ZIPTIE_INSTANTIATE(T)                                                             \
  template double sum<T>(Context, const Tensor&, bool);                                   \
  template void swiglu_forward<T>(Context, const Tensor&, const Tensor&);                 \
  template void swiglu_backward<T>(Context, const Tensor&, const Tensor&, const Tensor&); \
  template void rope<T>(Context, const Tensor&, const Tensor&, const Tensor&, const HeadLayout&, Rotation);
ZIPTIE_INSTANTIATE(float)
ZIPTIE_INSTANTIATE(double)

}  // namespace ziptie::cpu
