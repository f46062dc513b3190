#include <cmath>

#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/vector.h"

namespace ziptie::cpu {

namespace {

template <class T>
T reciprocal_rms(const T* x, std::int64_t width, double epsilon) {
  return T{1} / std::sqrt(dot(width, x, x) / static_cast<T>(width) + static_cast<T>(epsilon));
}

}  // namespace

template <class T>
void rmsnorm_residual_forward(Context context, const Tensor& x, const Tensor& addend, const Tensor& weight,
                              double epsilon, const Tensor& sum, const Tensor& out) {
  const std::int64_t rows = x.shape[0], width = x.shape[1];
  const T* w = data<const T>(weight);
  context.threads.run_blocks(rows, rows_per_task(width), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T* from = data<const T>(x) + row * width;
      if (addend.data) {
        const T* added = data<const T>(addend) + row * width;
        T* total = data<T>(sum) + row * width;
        for_vectors<T>(width, [&](std::int64_t i, auto n) {
          store<T>(total + i, load(from + i, n) + load(added + i, n), n);
        });
        from = total;
      } else if (sum.data && sum.data != x.data) {
        std::memcpy(data<T>(sum) + row * width, from, width * sizeof(T));
      }
      const T scale = reciprocal_rms(from, width, epsilon);
      T* to = data<T>(out) + row * width;
      for_vectors<T>(width, [&](std::int64_t i, auto n) {
        store<T>(to + i, load(from + i, n) * scale * load(w + i, n), n);
      });
    }
  });
}

template <class T>
void rmsnorm_backward(Context context, const Tensor& x, const Tensor& weight, double epsilon,
                      const Tensor& gradient_out, const Tensor& gradient_x, const Tensor& gradient_weight) {
  const std::int64_t rows = x.shape[0], width = x.shape[1], block = rows_per_task(width);
  const std::int64_t blocks = (rows + block - 1) / block;
  const T* w = data<const T>(weight);
  T* partial = gradient_weight.data ? context.workspace.shared<T>(blocks * width) : nullptr;
  context.threads.run_blocks(rows, block, [&](std::int64_t begin, std::int64_t end, int) {
    T* to_weight = partial ? partial + begin / block * width : nullptr;
    if (to_weight) std::memset(to_weight, 0, width * sizeof(T));
    for (std::int64_t row = begin; row < end; ++row) {
      const T* from = data<const T>(x) + row * width;
      const T* slope = data<const T>(gradient_out) + row * width;
      T* to = data<T>(gradient_x) + row * width;
      const T scale = reciprocal_rms(from, width, epsilon);
      Vector<T> products{};
      for_vectors<T>(width, [&](std::int64_t i, auto n) {
        products += load(from + i, n) * load(slope + i, n) * load(w + i, n);
      });
      const T shrink = sum_lanes<T>(products) * scale * scale / static_cast<T>(width);
      for_vectors<T>(width, [&](std::int64_t i, auto n) {
        const auto change = scale * (load(slope + i, n) * load(w + i, n) - shrink * load(from + i, n));
        store<T>(to + i, load(to + i, n) + change, n);
      });
      if (to_weight)
        for_vectors<T>(width, [&](std::int64_t i, auto n) {
          store<T>(to_weight + i, load(to_weight + i, n) + load(from + i, n) * scale * load(slope + i, n), n);
        });
    }
  });
  if (!partial) return;
  T* __restrict to = data<T>(gradient_weight);
  for (std::int64_t b = 0; b < blocks; ++b)
    for (std::int64_t i = 0; i < width; ++i) to[i] += partial[b * width + i];
}

#define ZIPTIE_INSTANTIATE(T)                                                                             \
  template void rmsnorm_residual_forward<T>(Context, const Tensor&, const Tensor&, const Tensor&, double, \
                                            const Tensor&, const Tensor&);                                \
  template void rmsnorm_backward<T>(Context, const Tensor&, const Tensor&, double, const Tensor&,         \
                                    const Tensor&, const Tensor&);
ZIPTIE_INSTANTIATE(float)
ZIPTIE_INSTANTIATE(double)

}  // namespace ziptie::cpu
