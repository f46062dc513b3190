// Rows picked by index, and their gradients put back.

#include <cstring>

#include "engine/backend/bfloat16.h"
#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/vector.h"

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

namespace {

/// Tasks that share out the rows of a table.
constexpr std::int64_t table_tasks = 16;

/// table[ids[t]] += rows[t], in the order of t. A task owns a range of the table and takes its tokens in
/// order: no two tasks meet, and every sum has one order.
template <class T>
void add_to_rows(Context context, const std::uint32_t* ids, std::int64_t tokens, const T* rows,
                 const Tensor& table) {
  const std::int64_t vocab = table.shape[0], width = table.shape[1];
  context.threads.run_blocks(
      vocab, (vocab + table_tasks - 1) / table_tasks, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t token = 0; token < tokens; ++token)
          if (ids[token] >= begin && ids[token] < end)
            add_multiple<T>(width, T{1}, rows + token * width, data<T>(table) + ids[token] * width);
      });
}

}  // namespace

template <class T>
void embedding_forward(Context context, const Embedding& embedding, const Tensor& ids, const Tensor& out) {
  const std::int64_t width = out.shape[1], rank = embedding.lora_a.data ? embedding.lora_a.shape[1] : 0;
  const auto* id = data<const std::uint32_t>(ids);
  context.threads.run_blocks(
      out.shape[0], rows_per_task(width * (1 + rank)), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t token = begin; token < end; ++token) {
          T* to = data<T>(out) + token * width;
          if (embedding.table.dtype == DType::bf16) {
            const auto* from = data<const std::uint16_t>(embedding.table) + id[token] * width;
            for (std::int64_t i = 0; i < width; ++i) to[i] = from_bf16(from[i]);
          } else {
            std::memcpy(to, data<const T>(embedding.table) + id[token] * width, width * sizeof(T));
          }
          const T* a = data<const T>(embedding.lora_a) + id[token] * rank;
          for (std::int64_t k = 0; k < rank; ++k)
            add_multiple<T>(width, static_cast<T>(embedding.scale) * a[k],
                            data<const T>(embedding.lora_b) + k * width, to);
        }
      });
}

template <class T>
void embedding_backward(Context context, const Embedding& embedding, const Tensor& ids,
                        const Tensor& gradient_out) {
  const std::int64_t tokens = gradient_out.shape[0], width = gradient_out.shape[1];
  const auto* id = data<const std::uint32_t>(ids);
  const T* slopes = data<const T>(gradient_out);
  if (embedding.gradient) add_to_rows(context, id, tokens, slopes, *embedding.gradient);
  if (!embedding.lora_a.data) return;

  const std::int64_t rank = embedding.lora_a.shape[1];
  const T scale = static_cast<T>(embedding.scale);
  const T *a = data<const T>(embedding.lora_a), *b = data<const T>(embedding.lora_b);
  T* hidden_slopes = context.workspace.shared<T>(tokens * rank);
  context.threads.run_blocks(
      tokens, rows_per_task(width * rank), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t token = begin; token < end; ++token)
          for (std::int64_t k = 0; k < rank; ++k)
            hidden_slopes[token * rank + k] = scale * dot(width, slopes + token * width, b + k * width);
      });
  add_to_rows(context, id, tokens, hidden_slopes, embedding.gradient_lora_a);
  context.threads.run_blocks(width, 64, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t token = 0; token < tokens; ++token)
      for (std::int64_t k = 0; k < rank; ++k)
        add_multiple<T>(end - begin, scale * a[id[token] * rank + k], slopes + token * width + begin,
                        data<T>(embedding.gradient_lora_b) + k * width + begin);
  });
}

#define ZIPTIE_INSTANTIATE(T)                                                                  \
  template void gather_rows<T>(Context, const Tensor&, const Tensor&, const Tensor&);          \
  template void scatter_rows<T>(Context, const Tensor&, const Tensor&, const Tensor&);         \
  template void embedding_forward<T>(Context, const Embedding&, const Tensor&, const Tensor&); \
  template void embedding_backward<T>(Context, const Embedding&, const Tensor&, const Tensor&);
ZIPTIE_INSTANTIATE(float)
ZIPTIE_INSTANTIATE(double)

}  // namespace ziptie::cpu
