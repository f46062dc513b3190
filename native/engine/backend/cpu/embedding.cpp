// Rows picked by index, and their gradients put back.

#include <cstring>

#include "engine/backend/cpu/kernels.h"

namespace ziptie::cpu {

template <class T>
void gather_rows(Context context, const Tensor& x, const Tensor& rows, const Tensor& out) {
  const std::int64_t width = x.shape[1];
  const auto* index = data<const std::uint32_t>(rows);
  context.threads.run_blocks(
      out.shape[0], rows_per_task(width), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t row = begin; row < end; ++row)
          std::memcpy(data<T>(out) + row * width, data<const T>(x) + index[row] * width, width * sizeof(T));
      });
}

template <class T>
void scatter_rows(Context context, const Tensor& x, const Tensor& rows, const Tensor& out) {
  const std::int64_t width = x.shape[1], picked = rows.shape[0];
  const auto* index = data<const std::uint32_t>(rows);
  context.threads.run_blocks(
      out.shape[0], rows_per_task(width), [&](std::int64_t begin, std::int64_t end, int) {
        std::memset(data<T>(out) + begin * width, 0, (end - begin) * width * sizeof(T));
        const auto* first = std::lower_bound(index, index + picked, begin);
        for (const auto* i = first; i < index + picked && *i < end; ++i)
          std::memcpy(data<T>(out) + *i * width, data<const T>(x) + (i - index) * width, width * sizeof(T));
      });
}

template <class T>
void embedding_backward(Context context, const Embedding& embedding, const Tensor& ids,
                        const Tensor& gradient_out) {
  const Tensor& gradient_table = *embedding.gradient;
  const std::int64_t tokens = gradient_out.shape[0], width = gradient_out.shape[1],
                     vocab = gradient_table.shape[0];
  const auto* id = data<const std::uint32_t>(ids);
  // A task owns a range of the table and takes its tokens in order: no two tasks meet, and every sum has one
  // order.
  constexpr std::int64_t tasks = 16;
  context.threads.run_blocks(vocab, (vocab + tasks - 1) / tasks,
                             [&](std::int64_t begin, std::int64_t end, int) {
                               for (std::int64_t token = 0; token < tokens; ++token) {
                                 if (id[token] < begin || id[token] >= end) continue;
                                 T* __restrict to = data<T>(gradient_table) + id[token] * width;
                                 const T* from = data<const T>(gradient_out) + token * width;
                                 for (std::int64_t i = 0; i < width; ++i) to[i] += from[i];
                               }
                             });
}

#define ZIPTIE_INSTANTIATE(T)                                                          \
  template void gather_rows<T>(Context, const Tensor&, const Tensor&, const Tensor&);  \
  template void scatter_rows<T>(Context, const Tensor&, const Tensor&, const Tensor&); \
  template void embedding_backward<T>(Context, const Embedding&, const Tensor&, const Tensor&);
ZIPTIE_INSTANTIATE(float)
ZIPTIE_INSTANTIATE(double)

}  // namespace ziptie::cpu
