#pragma once
// The seam between the model and the machine: tensors on a device, and the table of coarse, fused ops on them.
// The model owns the order of ops and what is kept for backward; a backend owns memory, layout and kernels.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace ziptie {

enum class DType : std::uint8_t { f32, f64, bf16, f16, u8, u32, u64 };
std::size_t size_of(DType dtype);

/// A view of `shape[0] × … × shape[rank-1]` elements in row-major order on a backend's device. Owns nothing.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<std::int64_t, 4> shape{};

  std::int64_t elements() const;
};

/// Device memory that a backend handed out; frees itself.
class Buffer {
 public:
  Buffer() = default;
  Buffer(void* data, std::size_t bytes, void (*release)(void*)) : data_(data, release), bytes_(bytes) {}
  void* data() const { return data_.get(); }
  std::size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<void, void (*)(void*)> data_{nullptr, +[](void*) {}};
  std::size_t bytes_ = 0;
};

struct AdamwStep {
  double learning_rate, beta1, beta2, epsilon, weight_decay;
  std::int64_t step;        ///< counts from 1
  double gradient_scale;    ///< multiplied into the gradient first (clipping)
};

class Backend {
 public:
  virtual ~Backend() = default;
  /// What computes, for people: `cpu: 2 threads, oneDNN 2.6.3`.
  virtual std::string description() const = 0;

  virtual Buffer allocate(std::size_t bytes) = 0;  ///< zero-filled; throws std::bad_alloc
  virtual void copy_to_device(void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, std::size_t bytes) = 0;

  /// Sum of squares in float64, in a fixed order.
  virtual double squared_norm(const Tensor& x) = 0;
  virtual void fill_zero(const Tensor& x) = 0;
  /// torch.optim.AdamW: decoupled decay first, then the update. All f32.
  virtual void adamw(const Tensor& parameter, const Tensor& gradient, const Tensor& first_moment,
                     const Tensor& second_moment, const AdamwStep& step) = 0;

  // … the model's ops follow here.
};

/// The CPU backend with `threads` threads (0: as many as the machine has).
std::unique_ptr<Backend> make_cpu_backend(int threads);

}  // namespace ziptie
