#pragma once
// The ops of backend.h for one floating-point type on the CPU. Contracts are those of backend.h.

#include "engine/backend/backend.h"
#include "engine/backend/cpu/threads.h"
#include "engine/backend/cpu/workspace.h"

namespace ziptie::cpu {

struct Context {
  const Threads& threads;
  Workspace& workspace;
};

template <class T>
inline T* data(const Tensor& tensor) {
  return static_cast<T*>(tensor.data);
}

/// Rows of `width` elements that make a task of about 16k elements: enough work to be worth handing to a
/// thread.
inline std::int64_t rows_per_task(std::int64_t width) { return std::max<std::int64_t>(1, 16384 / width); }

template <class T>
double sum(Context context, const Tensor& x, bool squares);
void clip_scale(Context context, std::span<const Tensor> gradients, double limit, const Tensor& clip);
template <class T>
void adamw(Context context, const Tensor& parameter, const Tensor& gradient, const Tensor& first_moment,
           const Tensor& second_moment, const AdamwStep& step, const Tensor& clip);
void adamw8(Context context, const Tensor& parameter, const Tensor& gradient, const Adamw8State& state,
            const AdamwStep& step, const Tensor& clip);

template <class T>
void gather_rows(Context context, const Tensor& x, const Tensor& rows, const Tensor& out);
template <class T>
void scatter_rows(Context context, const Tensor& x, const Tensor& rows, const Tensor& out);
template <class T>
void embedding_forward(Context context, const Embedding& embedding, const Tensor& ids, const Tensor& out);
template <class T>
void embedding_backward(Context context, const Embedding& embedding, const Tensor& ids,
                        const Tensor& gradient_out);

template <class T>
void rmsnorm_residual_forward(Context context, const Tensor& x, const Tensor& addend, const Tensor& weight,
                              double epsilon, const Tensor& sum, const Tensor& out);
template <class T>
void rmsnorm_backward(Context context, const Tensor& x, const Tensor& weight, double epsilon,
                      const Tensor& gradient_out, const Tensor& gradient_x, const Tensor& gradient_weight);

/// Row i of `x` has the dropout mask of row `first_row` + i.
template <class T>
void linear_forward(Context context, const Tensor& x, const Linear& linear, const Dropout& dropout,
                    const Tensor& y, const Tensor& lora_hidden, std::int64_t first_row = 0);
template <class T>
void linear_backward(Context context, const Tensor& x, const Linear& linear, const Dropout& dropout,
                     const Tensor& lora_hidden, const Tensor& gradient_y, const Tensor& gradient_x,
                     std::int64_t first_row = 0);

template <class T>
void rope(Context context, const Tensor& qkv, const Tensor& positions, const Tensor& table,
          const HeadLayout& layout, Rotation rotation);

template <class T>
void attention_varlen_forward(Context context, const Tensor& qkv, const Sequences& sequences,
                              const HeadLayout& layout, const Tensor& out, const Tensor& log_sum);
template <class T>
void attention_varlen_backward(Context context, const Tensor& qkv, const Sequences& sequences,
                               const HeadLayout& layout, const Tensor& out, const Tensor& log_sum,
                               const Tensor& gradient_out, const Tensor& gradient_qkv);
template <class T>
void attention_cached(Context context, const Tensor& qkv, const CachedSequences& cached,
                      const HeadLayout& layout, const Tensor& keys, const Tensor& values, const Tensor& out);

template <class T>
void swiglu_forward(Context context, const Tensor& gate_up, const Tensor& out);
template <class T>
void swiglu_backward(Context context, const Tensor& gate_up, const Tensor& gradient_out,
                     const Tensor& gradient_gate_up);

template <class T>
void head_cross_entropy(Context context, const Tensor& x, const Linear& head, const Dropout& dropout,
                        const Tensor& targets, double scale, const Tensor& losses, const Tensor& gradient_x,
                        const std::function<void()>& between_chunks);

template <class T>
void head_likelihood(Context context, const Tensor& x, const Linear& head, const Tensor& targets,
                     const Tensor& losses, const Tensor& likeliest,
                     const std::function<void()>& between_chunks);

}  // namespace ziptie::cpu
