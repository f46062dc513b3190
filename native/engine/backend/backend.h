#pragma once
// The seam between the model and the machine: tensors on a device, and the table of coarse, fused ops on
// them. The model owns the order of ops and what is kept for backward; a backend owns memory, layout and
// kernels.
//
// Ops are enqueued in order on the backend's one stream; only `copy_to_host`, `sum` and `squared_norm` wait
// for results. What `copy_to_device` reads may be reused once it returns, and releasing a buffer takes effect
// after the ops enqueued before.
//
// What is trained, its gradients and moments, statistics (`log_sum`, `losses`) and tables are f32.
// Activations and their gradients share one floating-point type, the one that an op computes in: f32, or a
// narrower one that a backend prefers; it accumulates in f32 at least. (Where a backend is tested against
// itself, all are f64.) Every op gives the same bits for the same input: sums have one fixed order for each
// backend and device.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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

/// Where a Buffer lies. What is in host memory is for the two copies, and for ops whose contract says that
/// they bring it to the device and back, while other ops compute; all else needs the device's.
enum class Placement : std::uint8_t { device, host };

/// Memory that a backend handed out; frees itself.
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

/// Whether decoupled weight decay shrinks a parameter before it is updated, as torch does, or after it, as
/// bitsandbytes does.
enum class DecayOrder : std::uint8_t { before_update, after_update };

struct AdamwStep {
  double learning_rate, beta1, beta2, epsilon, weight_decay;
  std::int64_t step;  ///< counts from 1
  DecayOrder decay_order = DecayOrder::before_update;
};

/// AdamW's moments in 8 bits, in blocks of 256 elements (bitsandbytes' blockwise state). All zero is its
/// beginning.
struct Adamw8State {
  Tensor first, second;  ///< u8, the parameter's shape: indices into the signed and the unsigned dynamic map
  Tensor first_absmax, second_absmax;       ///< f32 [⌈elements / 256⌉], on the device
  Placement placement = Placement::device;  ///< of `first` and `second`
};

/// Inverted dropout with a counter-based generator: element (row, column) of stream s depends on (key, s,
/// row, column) alone.
struct Dropout {
  double probability = 0;
  std::uint64_t key = 0;
};

/// A low-rank adapter on the rows [first_output, first_output + b.shape[0]) of a weight:
/// y += scale · dropout(x) aᵀ bᵀ, where `a` [r, in] is its part of `Linear::lora_a`.
struct Lora {
  std::int64_t first_output = 0;
  Tensor b;           ///< [out, r]
  Tensor gradient_b;  ///< same shape; backward adds to it
  double scale = 1;
  std::uint32_t stream = 0;  ///< its dropout's stream
};

/// Frozen rows of a weight in 4 bits, as bitsandbytes lays them out: NF4 in blocks of 64 over the flattened
/// row-major [rows, in] matrix, even element in the high nibble.
struct Nf4 {
  std::int64_t first_output = 0;  ///< the row of the whole weight that these begin at
  std::int64_t rows = 0;
  Tensor codes;   ///< u8 [⌈rows · in / 2⌉]
  Tensor absmax;  ///< [blocks]: f32, or with double quantisation u8 indices into the signed dynamic map
  Tensor nested_absmax;  ///< f32 [⌈blocks / 256⌉]; absent without double quantisation
  Tensor nested_offset;  ///< f32 [1]; absent without double quantisation
};

/// y = x weightᵀ + bias + adapters. Projections of one input (q, k, v; gate, up) are one weight, laid end to
/// end.
struct Linear {
  Tensor weight = {};  ///< [out, in], f32 or, where frozen, bf16; `data` is null when quantised
  std::span<const Nf4> quantized =
      {};  ///< covers the rows of `weight` in order; empty when it is not quantised
  std::optional<Tensor> gradient = {};  ///< [out, in]; backward adds to it; absent when frozen
  Tensor bias = {};                     ///< [out]; absent where there is none
  std::optional<Tensor> gradient_bias = {};
  std::span<const Lora> adapters = {};
  Tensor lora_a = {};           ///< [Σ r, in]: the adapters' A matrices in their order
  Tensor gradient_lora_a = {};  ///< same shape; backward adds to it
};

/// A table of vectors and its adapter: out = table[id] + scale · lora_a[id] lora_b. The adapter's matrices
/// are PEFT's transposed, which is how a tied head reads them: there `lora_a` is the head's B, `lora_b` its
/// A.
struct Embedding {
  Tensor table = {};                    ///< [vocab, hidden], f32 or, where frozen, bf16
  std::optional<Tensor> gradient = {};  ///< same shape; backward adds to it; absent when frozen
  Tensor lora_a = {}, lora_b = {};      ///< [vocab, r], [r, hidden]; absent without an adapter
  Tensor gradient_lora_a = {}, gradient_lora_b = {};
  double scale = 1;
};

/// How heads lie in a row of a fused q, k, v tensor: `heads` query heads, then `kv_heads` keys, then
/// `kv_heads` values.
struct HeadLayout {
  std::int64_t heads = 0;  ///< a multiple of kv_heads; query head h reads key head h / (heads / kv_heads)
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;  ///< even

  std::int64_t row() const { return (heads + 2 * kv_heads) * head_dim; }
};

/// Sequences laid end to end without padding.
struct Sequences {
  Tensor offsets;  ///< u32 [sequences + 1]; sequence i is rows [offsets[i], offsets[i + 1])
  std::int64_t count = 0;
  std::int64_t longest = 0;  ///< rows
};

/// Sequences laid end to end, each of which continues one that a cache holds.
struct CachedSequences {
  Sequences sequences;       ///< the new rows of each, at least one
  Tensor slots;              ///< u32 [count]: which slot of the cache each continues; none twice
  Tensor past;               ///< u32 [count]: rows that the slot holds already
  std::int64_t longest = 0;  ///< past and new rows of the longest
};

enum class Rotation { forward, backward };

class Backend {
 public:
  virtual ~Backend() = default;
  /// What computes, for people: `cpu: 2 threads, AVX2`.
  virtual std::string description() const = 0;
  /// Bytes that buffers on the device can take in all; more may be promised than there is.
  virtual std::uint64_t memory() const = 0;
  /// Bytes that were in use at most so far: on a device its buffers', on the CPU the whole process's. 0 where
  /// that cannot be told.
  virtual std::uint64_t peak_memory() const = 0;

  /// Zero-filled. @throws std::bad_alloc
  virtual Buffer allocate(std::size_t bytes, Placement placement) = 0;
  Buffer allocate(std::size_t bytes) { return allocate(bytes, Placement::device); }
  /// `from` is the caller's own memory, `to` lies within a Buffer of either placement.
  virtual void copy_to_device(void* to, const void* from, std::size_t bytes) = 0;
  /// The other way round: `from` lies within a Buffer of either placement. What ops enqueued before do to it
  /// is done, also where it is in host memory, which a device may still be writing to.
  virtual void copy_to_host(void* to, const void* from, std::size_t bytes) = 0;

  /// Sum of squares in float64, in a fixed order.
  virtual double squared_norm(const Tensor& x) = 0;
  virtual double sum(const Tensor& x) = 0;  ///< in float64, in a fixed order
  virtual void fill_zero(const Tensor& x) = 0;
  /// clip [2] f64 on the device: the L2 norm of all `gradients` together, and what they are to be multiplied
  /// by so that theirs is at most `limit` (torch.nn.utils.clip_grad_norm_; 1 when `limit` is infinite).
  virtual void clip_scale(std::span<const Tensor> gradients, double limit, const Tensor& clip) = 0;
  /// torch.optim.AdamW. The gradient is multiplied by clip[1] first; when clip[0] is not finite nothing
  /// changes.
  virtual void adamw(const Tensor& parameter, const Tensor& gradient, const Tensor& first_moment,
                     const Tensor& second_moment, const AdamwStep& step, const Tensor& clip) = 0;
  /// bitsandbytes' blockwise 8-bit AdamW: parameter −= learning_rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε
  /// √(1 − β₂ᵗ)) with the moments as they are before they are quantised, each to its nearest code. The
  /// gradient is multiplied by clip[1] first. One that is not finite leaves its element as it was and zeroes
  /// that element's state. `parameter` f32.
  virtual void adamw8(const Tensor& parameter, const Tensor& gradient, const Adamw8State& state,
                      const AdamwStep& step, const Tensor& clip) = 0;

  /// `weight` f32 [to.rows, in] into the tensors of `to`, which say whether absmax is quantised too.
  virtual void quantize_nf4(const Tensor& weight, const Nf4& to) = 0;
  /// `to` [from.rows, in], f32 or bf16.
  virtual void dequantize_nf4(const Nf4& from, const Tensor& to) = 0;

  // Below, a tensor that an op may do without is passed as `Tensor{}`.

  /// out[t] = the embedding of ids[t]. `ids` u32 [tokens], `out` [tokens, hidden].
  virtual void embedding_forward(const Embedding& embedding, const Tensor& ids, const Tensor& out) = 0;
  /// Adds to the gradients in `embedding`; tokens that share a row in one fixed order.
  virtual void embedding_backward(const Embedding& embedding, const Tensor& ids,
                                  const Tensor& gradient_out) = 0;
  /// out[i] = x[rows[i]]. `rows` u32, ascending.
  virtual void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) = 0;
  /// out = 0, then out[rows[i]] = x[i]. `rows` u32, ascending, without repeats.
  virtual void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& out) = 0;

  /// sum = x + addend (or x), out = sum / rms(sum) · weight. `x`, `sum`, `out` [tokens, hidden]; `sum` may be
  /// `x` or, without an addend, absent.
  virtual void rmsnorm_residual_forward(const Tensor& x, const Tensor& addend, const Tensor& weight,
                                        double epsilon, const Tensor& sum, const Tensor& out) = 0;
  /// gradient_x += d/dx; gradient_weight += d/dweight (absent when frozen). `x` is the forward's `sum`.
  virtual void rmsnorm_backward(const Tensor& x, const Tensor& weight, double epsilon,
                                const Tensor& gradient_out, const Tensor& gradient_x,
                                const Tensor& gradient_weight) = 0;

  /// `x` [tokens, in], `y` [tokens, out], `lora_hidden` [tokens, Σ r]: dropout(x) aᵀ of each adapter, kept
  /// for backward.
  virtual void linear_forward(const Tensor& x, const Linear& linear, const Dropout& dropout, const Tensor& y,
                              const Tensor& lora_hidden) = 0;
  /// gradient_x = d/dx (absent: not needed); adds to the gradients in `linear`. Same `x`, `dropout` and
  /// `lora_hidden` as forward.
  virtual void linear_backward(const Tensor& x, const Linear& linear, const Dropout& dropout,
                               const Tensor& lora_hidden, const Tensor& gradient_y,
                               const Tensor& gradient_x) = 0;

  /// Rotary embedding as HF's Llama (halves, not interleaved pairs), in place on the query and key heads of
  /// `qkv` [tokens, row]. `positions` u32 [tokens]; `table` [positions, head_dim]: head_dim/2 cosines, then
  /// as many sines.
  virtual void rope(const Tensor& qkv, const Tensor& positions, const Tensor& table, const HeadLayout& layout,
                    Rotation rotation) = 0;

  /// Causal softmax(q kᵀ / √head_dim) v within each sequence. `qkv` [tokens, row], `out` [tokens, heads ·
  /// head_dim]; `log_sum` [tokens, heads], the softmax's log-denominators, kept for backward.
  virtual void attention_varlen_forward(const Tensor& qkv, const Sequences& sequences,
                                        const HeadLayout& layout, const Tensor& out,
                                        const Tensor& log_sum) = 0;
  /// gradient_qkv = d/dqkv; `out` and `log_sum` are the forward's.
  virtual void attention_varlen_backward(const Tensor& qkv, const Sequences& sequences,
                                         const HeadLayout& layout, const Tensor& out, const Tensor& log_sum,
                                         const Tensor& gradient_out, const Tensor& gradient_qkv) = 0;
  /// Appends each sequence's keys and values of `qkv` [tokens, row] to its slot of `keys` and `values`
  /// [slots, capacity, kv_heads · head_dim]; out[i] attends to its slot's rows up to its own.
  virtual void attention_cached(const Tensor& qkv, const CachedSequences& cached, const HeadLayout& layout,
                                const Tensor& keys, const Tensor& values, const Tensor& out) = 0;

  /// out = silu(gate) · up. `gate_up` [tokens, 2 · intermediate]: gate, then up.
  virtual void swiglu_forward(const Tensor& gate_up, const Tensor& out) = 0;
  virtual void swiglu_backward(const Tensor& gate_up, const Tensor& gradient_out,
                               const Tensor& gradient_gate_up) = 0;

  /// losses[i] = −log softmax(head(x[i]))[targets[i]]; `x` [rows, hidden], `targets` u32 [rows], `losses`
  /// [rows]. With `gradient_x` [rows, hidden]: gradient_x = d(scale · Σ losses)/dx, and the gradients in
  /// `head` are added to likewise. Works in chunks of rows, the adapter inside: the logits of all rows never
  /// exist at once. The row of a dropout mask is i. `between_chunks`, unless empty, is called before each
  /// chunk; what it throws ends the op and leaves what it writes half-written.
  virtual void head_cross_entropy(const Tensor& x, const Linear& head, const Dropout& dropout,
                                  const Tensor& targets, double scale, const Tensor& losses,
                                  const Tensor& gradient_x,
                                  const std::function<void()>& between_chunks = {}) = 0;
  /// losses[i] as in head_cross_entropy, without dropout; likeliest[i] u32: the lowest id of the highest
  /// logit. `between_chunks` likewise.
  virtual void head_likelihood(const Tensor& x, const Linear& head, const Tensor& targets,
                               const Tensor& losses, const Tensor& likeliest,
                               const std::function<void()>& between_chunks = {}) = 0;
};

/// The CPU backend with `threads` threads (0: as many as the machine has).
std::unique_ptr<Backend> make_cpu_backend(int threads);

}  // namespace ziptie
