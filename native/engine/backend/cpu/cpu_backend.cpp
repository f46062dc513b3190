#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/memory.h"
#include "engine/backend/cpu/nf4.h"

namespace ziptie {

namespace {

/// Runs `op` for the type that `tensor` holds.
template <class Op>
decltype(auto) dispatch(const Tensor& tensor, const Op& op) {
  if (tensor.dtype == DType::f64) return op.template operator()<double>();
  if (tensor.dtype != DType::f32) throw std::invalid_argument("the CPU backend computes in f32 or f64 only");
  return op.template operator()<float>();
}

/// Every tensor of an op that may be narrower elsewhere has the op's type, f32 or f64. Sums have one order
/// whatever the number of threads.
class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads) : threads_(threads), workspace_(threads_.count()) {}

  std::string description() const override {
    return "cpu: " + std::to_string(threads_.count()) + (threads_.count() == 1 ? " thread, " : " threads, ") +
           (__builtin_cpu_supports("avx512f") ? "AVX-512" : "AVX2");
  }

  std::uint64_t memory() const override { return cpu::usable_memory(); }
  std::uint64_t peak_memory() const override { return cpu::peak_memory(); }

  // The device's memory is the host's.
  Buffer allocate(std::size_t bytes, Placement) override {
    // calloc leaves large blocks to the kernel's zero pages: memory that is never touched is never used. It
    // does not align to cache lines, so the block's own address is kept in front of the aligned one.
    constexpr std::size_t line = 64;
    if (bytes > std::numeric_limits<std::size_t>::max() - 2 * line) throw std::bad_alloc();
    void* block = std::calloc(bytes + 2 * line, 1);
    if (!block) throw std::bad_alloc();
    void* aligned = static_cast<std::byte*>(block) + line;
    std::size_t space = bytes + line;
    std::align(line, bytes, aligned, space);
    static_cast<void**>(aligned)[-1] = block;
    return Buffer(aligned, bytes, [](void* memory) {
      if (memory) std::free(static_cast<void**>(memory)[-1]);
    });
  }
  // No bytes may come from nowhere, which memcpy does not allow.
  void copy_to_device(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }

  double squared_norm(const Tensor& x) override {
    return dispatch(x, [&]<class T>() { return cpu::sum<T>(context(), x, true); });
  }
  double sum(const Tensor& x) override {
    return dispatch(x, [&]<class T>() { return cpu::sum<T>(context(), x, false); });
  }
  void fill_zero(const Tensor& x) override {
    if (x.data) std::memset(x.data, 0, x.elements() * size_of(x.dtype));
  }
  void adamw(const Tensor& parameter, const Tensor& gradient, const Tensor& first_moment,
             const Tensor& second_moment, const AdamwStep& step, const Tensor& clip) override {
    dispatch(parameter, [&]<class T>() {
      cpu::adamw<T>(context(), parameter, gradient, first_moment, second_moment, step, clip);
    });
  }
  void clip_scale(std::span<const Tensor> gradients, double limit, const Tensor& clip) override {
    cpu::clip_scale(context(), gradients, limit, clip);
  }
  void adamw8(const Tensor& parameter, const Tensor& gradient, const Adamw8State& state,
              const AdamwStep& step, const Tensor& clip) override {
    cpu::adamw8(context(), parameter, gradient, state, step, clip);
  }
  void quantize_nf4(const Tensor& weight, const Nf4& to) override {
    cpu::quantize_nf4(context(), weight, to);
  }
  void dequantize_nf4(const Nf4& from, const Tensor& to) override {
    cpu::dequantize_nf4(context(), from, to);
  }

  void embedding_forward(const Embedding& embedding, const Tensor& ids, const Tensor& out) override {
    dispatch(out, [&]<class T>() { cpu::embedding_forward<T>(context(), embedding, ids, out); });
  }
  void embedding_backward(const Embedding& embedding, const Tensor& ids,
                          const Tensor& gradient_out) override {
    dispatch(gradient_out,
             [&]<class T>() { cpu::embedding_backward<T>(context(), embedding, ids, gradient_out); });
  }
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) override {
    dispatch(x, [&]<class T>() { cpu::gather_rows<T>(context(), x, rows, out); });
  }
  void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& out) override {
    dispatch(x, [&]<class T>() { cpu::scatter_rows<T>(context(), x, rows, out); });
  }

  void rmsnorm_residual_forward(const Tensor& x, const Tensor& addend, const Tensor& weight, double epsilon,
                                const Tensor& sum, const Tensor& out) override {
    dispatch(x, [&]<class T>() {
      cpu::rmsnorm_residual_forward<T>(context(), x, addend, weight, epsilon, sum, out);
    });
  }
  void rmsnorm_backward(const Tensor& x, const Tensor& weight, double epsilon, const Tensor& gradient_out,
                        const Tensor& gradient_x, const Tensor& gradient_weight) override {
    dispatch(x, [&]<class T>() {
      cpu::rmsnorm_backward<T>(context(), x, weight, epsilon, gradient_out, gradient_x, gradient_weight);
    });
  }

  void linear_forward(const Tensor& x, const Linear& linear, const Dropout& dropout, const Tensor& y,
                      const Tensor& lora_hidden) override {
    dispatch(x, [&]<class T>() { cpu::linear_forward<T>(context(), x, linear, dropout, y, lora_hidden); });
  }
  void linear_backward(const Tensor& x, const Linear& linear, const Dropout& dropout,
                       const Tensor& lora_hidden, const Tensor& gradient_y,
                       const Tensor& gradient_x) override {
    dispatch(gradient_y, [&]<class T>() {
      cpu::linear_backward<T>(context(), x, linear, dropout, lora_hidden, gradient_y, gradient_x);
    });
  }

  void rope(const Tensor& qkv, const Tensor& positions, const Tensor& table, const HeadLayout& layout,
            Rotation rotation) override {
    dispatch(qkv, [&]<class T>() { cpu::rope<T>(context(), qkv, positions, table, layout, rotation); });
  }

  void attention_varlen_forward(const Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                const Tensor& out, const Tensor& log_sum) override {
    dispatch(qkv, [&]<class T>() {
      cpu::attention_varlen_forward<T>(context(), qkv, sequences, layout, out, log_sum);
    });
  }
  void attention_varlen_backward(const Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                 const Tensor& out, const Tensor& log_sum, const Tensor& gradient_out,
                                 const Tensor& gradient_qkv) override {
    dispatch(qkv, [&]<class T>() {
      cpu::attention_varlen_backward<T>(context(), qkv, sequences, layout, out, log_sum, gradient_out,
                                        gradient_qkv);
    });
  }
  void attention_cached(const Tensor& qkv, const CachedSequences& cached, const HeadLayout& layout,
                        const Tensor& keys, const Tensor& values, const Tensor& out) override {
    dispatch(qkv,
             [&]<class T>() { cpu::attention_cached<T>(context(), qkv, cached, layout, keys, values, out); });
  }

  void swiglu_forward(const Tensor& gate_up, const Tensor& out) override {
    dispatch(gate_up, [&]<class T>() { cpu::swiglu_forward<T>(context(), gate_up, out); });
  }
  void swiglu_backward(const Tensor& gate_up, const Tensor& gradient_out,
                       const Tensor& gradient_gate_up) override {
    dispatch(gate_up,
             [&]<class T>() { cpu::swiglu_backward<T>(context(), gate_up, gradient_out, gradient_gate_up); });
  }

  void head_cross_entropy(const Tensor& x, const Linear& head, const Dropout& dropout, const Tensor& targets,
                          double scale, const Tensor& losses, const Tensor& gradient_x,
                          const std::function<void()>& between_chunks) override {
    dispatch(x, [&]<class T>() {
      cpu::head_cross_entropy<T>(context(), x, head, dropout, targets, scale, losses, gradient_x,
                                 between_chunks);
    });
  }

  void head_likelihood(const Tensor& x, const Linear& head, const Tensor& targets, const Tensor& losses,
                       const Tensor& likeliest, const std::function<void()>& between_chunks) override {
    dispatch(x, [&]<class T>() {
      cpu::head_likelihood<T>(context(), x, head, targets, losses, likeliest, between_chunks);
    });
  }

 private:
  cpu::Context context() { return {threads_, workspace_}; }

  cpu::Threads threads_;
  cpu::Workspace workspace_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int threads) {
  if (threads < 0) throw std::invalid_argument("threads: " + std::to_string(threads) + " is negative");
  if (threads == 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  return std::make_unique<CpuBackend>(threads);
}

}  // namespace ziptie
