// Matrix products with weights, and their low-rank adapters. Work is cut into tiles by shape alone and each
// tile is one thread's, so sums have one order whatever the number of threads.

#include <cstring>

#include "engine/backend/cpu/dropout.h"
#include "engine/backend/cpu/gemm.h"
#include "engine/backend/cpu/kernels.h"

namespace ziptie::cpu {

namespace {

/// Rows of a tile. Few for small matrices, whose tiles would otherwise be fewer than threads; more for large
/// ones, where oneDNN packs the weight anew for every tile.
std::int64_t tile_rows(std::int64_t in, std::int64_t out) { return in * out <= 1 << 17 ? 128 : 256; }

/// Columns of a tile; narrow when there are only a few rows, as in generation.
std::int64_t tile_columns(std::int64_t rows) { return rows <= 16 ? 256 : 1024; }

std::int64_t tiles(std::int64_t n, std::int64_t tile) { return (n + tile - 1) / tile; }

std::int64_t total_rank(const Linear& linear) { return linear.lora_a.data ? linear.lora_a.shape[0] : 0; }

/// Elements of the adapters' gradients: A of all, then B of each.
std::int64_t adapter_elements(const Linear& linear) {
  std::int64_t elements = linear.lora_a.elements();
  for (const Lora& lora : linear.adapters) elements += lora.b.elements();
  return elements;
}

/// `x` rows [begin, end), dropped out for one adapter, into `to`.
template <class T>
void drop(const T* x, std::int64_t width, std::int64_t begin, std::int64_t end, const Dropout& dropout,
          std::uint32_t stream, std::int64_t first_row, T* to) {
  for (std::int64_t row = begin; row < end; ++row)
    dropout_row<false>(dropout, stream, first_row + row, width, x + row * width, to + (row - begin) * width);
}

template <class T>
struct Operands {
  const Linear& linear;
  const Dropout& dropout;
  std::int64_t first_row;  ///< of dropout masks
  std::int64_t in = linear.weight.shape[1], out = linear.weight.shape[0], rank = total_rank(linear);

  /// lora_hidden = dropout(x) aᵀ for rows [begin, end).
  void hidden_rows(const T* x, std::int64_t begin, std::int64_t end, T* lora_hidden, T* scratch) const {
    const T* a = data<const T>(linear.lora_a);
    if (dropout.probability == 0) {
      gemm(end - begin, rank, in, T{1}, {x + begin * in, in}, {a, in, true}, T{0},
           {lora_hidden + begin * rank, rank});
      return;
    }
    std::int64_t first = 0;
    for (const Lora& lora : linear.adapters) {
      const std::int64_t r = lora.b.shape[1];
      drop(x, in, begin, end, dropout, lora.stream, first_row, scratch);
      gemm(end - begin, r, in, T{1}, {scratch, in}, {a + first * in, in, true}, T{0},
           {lora_hidden + begin * rank + first, rank});
      first += r;
    }
  }

  /// One tile of y.
  void forward_tile(const T* x, const T* lora_hidden, std::int64_t begin, std::int64_t end,
                    std::int64_t column, std::int64_t column_end, T* y) const {
    gemm(end - begin, column_end - column, in, T{1}, {x + begin * in, in},
         {data<const T>(linear.weight) + column * in, in, true}, T{0}, {y + begin * out + column, out});
    if (linear.bias.data) {
      const T* __restrict bias = data<const T>(linear.bias);
      for (std::int64_t row = begin; row < end; ++row)
        for (std::int64_t i = column; i < column_end; ++i) y[row * out + i] += bias[i];
    }
    std::int64_t first = 0;
    for (const Lora& lora : linear.adapters) {
      const std::int64_t r = lora.b.shape[1];
      const std::int64_t from = std::max(column, lora.first_output);
      const std::int64_t to = std::min(column_end, lora.first_output + lora.b.shape[0]);
      if (from < to)
        gemm(end - begin, to - from, r, static_cast<T>(lora.scale),
             {lora_hidden + begin * rank + first, rank},
             {data<const T>(lora.b) + (from - lora.first_output) * r, r, true}, T{1},
             {y + begin * out + from, out});
      first += r;
    }
  }

  /// gradient_hidden, and these rows' share of the adapters' gradients into `partial`.
  void backward_rows(const T* x, const T* lora_hidden, const T* gradient_y, std::int64_t begin,
                     std::int64_t end, T* gradient_hidden, T* partial, T* scratch) const {
    std::int64_t first = 0;
    T* to_b = partial + rank * in;
    for (const Lora& lora : linear.adapters) {
      const std::int64_t r = lora.b.shape[1], width = lora.b.shape[0];
      const T scale = static_cast<T>(lora.scale);
      const T* slope = gradient_y + begin * out + lora.first_output;
      gemm(end - begin, r, width, scale, {slope, out}, {data<const T>(lora.b), r}, T{0},
           {gradient_hidden + begin * rank + first, rank});
      gemm(width, r, end - begin, scale, {slope, out, true}, {lora_hidden + begin * rank + first, rank}, T{0},
           {to_b, r});
      if (dropout.probability != 0) {
        drop(x, in, begin, end, dropout, lora.stream, first_row, scratch);
        gemm(r, in, end - begin, T{1}, {gradient_hidden + begin * rank + first, rank, true}, {scratch, in},
             T{0}, {partial + first * in, in});
      }
      to_b += width * r;
      first += r;
    }
    if (dropout.probability == 0)
      gemm(rank, in, end - begin, T{1}, {gradient_hidden + begin * rank, rank, true}, {x + begin * in, in},
           T{0}, {partial, in});
  }

  /// One tile of gradient_x: all columns where there is dropout, whose masks are drawn by the row.
  void backward_tile(const T* gradient_y, const T* gradient_hidden, std::int64_t begin, std::int64_t end,
                     std::int64_t column, std::int64_t column_end, T* gradient_x, T* scratch) const {
    gemm(end - begin, column_end - column, out, T{1}, {gradient_y + begin * out, out},
         {data<const T>(linear.weight) + column, in}, T{0}, {gradient_x + begin * in + column, in});
    if (rank == 0) return;
    const T* a = data<const T>(linear.lora_a);
    if (dropout.probability == 0) {
      gemm(end - begin, column_end - column, rank, T{1}, {gradient_hidden + begin * rank, rank},
           {a + column, in}, T{1}, {gradient_x + begin * in + column, in});
      return;
    }
    std::int64_t first = 0;
    for (const Lora& lora : linear.adapters) {
      const std::int64_t r = lora.b.shape[1];
      gemm(end - begin, in, r, T{1}, {gradient_hidden + begin * rank + first, rank}, {a + first * in, in},
           T{0}, {scratch, in});
      for (std::int64_t row = begin; row < end; ++row)
        dropout_row<true>(dropout, lora.stream, first_row + row, in, scratch + (row - begin) * in,
                          gradient_x + row * in);
      first += r;
    }
  }
};

/// gradient += Σ over rows of gradient_yᵀ x.
template <class T>
void weight_gradient(Context context, const T* x, const T* gradient_y, std::int64_t rows, std::int64_t in,
                     std::int64_t out, T* gradient) {
  constexpr std::int64_t edge = 512, rows_of_part = 256, enough_tiles = 16;
  const std::int64_t across = tiles(in, edge), down = tiles(out, edge);
  // A small matrix has few tiles; then the sum over rows is cut instead, and its parts added in order.
  const std::int64_t parts =
      across * down >= enough_tiles ? 1 : std::max<std::int64_t>(1, tiles(rows, rows_of_part));
  T* partial = parts > 1 ? context.workspace.shared<T>(parts * in * out) : gradient;
  context.threads.run(across * down * parts, [&](std::int64_t task, int) {
    const std::int64_t part = task / (across * down), row = task / across % down * edge,
                       column = task % across * edge;
    const std::int64_t begin = parts > 1 ? part * rows_of_part : 0;
    const std::int64_t end = parts > 1 ? std::min(rows, begin + rows_of_part) : rows;
    gemm(std::min(edge, out - row), std::min(edge, in - column), end - begin, T{1},
         {gradient_y + begin * out + row, out, true}, {x + begin * in + column, in}, T(parts > 1 ? 0 : 1),
         {partial + part * in * out + row * in + column, in});
  });
  if (parts == 1) return;
  context.threads.run_blocks(in * out, 16384, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t part = 0; part < parts; ++part)
      for (std::int64_t i = begin; i < end; ++i) gradient[i] += partial[part * in * out + i];
  });
}

/// gradient += Σ over rows of gradient_y.
template <class T>
void bias_gradient(Context context, const T* gradient_y, std::int64_t rows, std::int64_t out, T* gradient) {
  context.threads.run_blocks(out, 64, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t i = begin; i < end; ++i) gradient[i] += gradient_y[row * out + i];
  });
}

}  // namespace

template <class T>
void linear_forward(Context context, const Tensor& x, const Linear& linear, const Dropout& dropout,
                    const Tensor& y, const Tensor& lora_hidden, std::int64_t first_row) {
  const Operands<T> operands{linear, dropout, first_row};
  const std::int64_t rows = x.shape[0], in = operands.in, out = operands.out;
  const std::int64_t height = tile_rows(in, out), width = tile_columns(rows), across = tiles(out, width);
  const T* input = data<const T>(x);
  T* hidden = data<T>(lora_hidden);
  if (operands.rank > 0 && dropout.probability != 0)
    context.workspace.reserve_per_thread<T>(std::min(rows, height) * in);
  if (operands.rank > 0 && across > 1)
    context.threads.run_blocks(rows, height, [&](std::int64_t begin, std::int64_t end, int thread) {
      operands.hidden_rows(input, begin, end, hidden, context.workspace.of_thread<T>(thread));
    });
  context.threads.run(tiles(rows, height) * across, [&](std::int64_t task, int thread) {
    const std::int64_t begin = task / across * height, end = std::min(rows, begin + height);
    const std::int64_t column = task % across * width;
    if (operands.rank > 0 && across == 1)
      operands.hidden_rows(input, begin, end, hidden, context.workspace.of_thread<T>(thread));
    operands.forward_tile(input, hidden, begin, end, column, std::min(out, column + width), data<T>(y));
  });
}

template <class T>
void linear_backward(Context context, const Tensor& x, const Linear& linear, const Dropout& dropout,
                     const Tensor& lora_hidden, const Tensor& gradient_y, const Tensor& gradient_x,
                     std::int64_t first_row) {
  const Operands<T> operands{linear, dropout, first_row};
  const std::int64_t rows = gradient_y.shape[0], in = operands.in, out = operands.out, rank = operands.rank;
  const bool drops = rank > 0 && dropout.probability != 0;
  const std::int64_t height = tile_rows(in, out), width = drops ? in : tile_columns(rows),
                     across = tiles(in, width);
  const std::int64_t blocks = tiles(rows, height), share = adapter_elements(linear);
  const T *input = data<const T>(x), *hidden = data<const T>(lora_hidden), *slope = data<const T>(gradient_y);
  T* to_x = data<T>(gradient_x);
  if (linear.gradient) weight_gradient(context, input, slope, rows, in, out, data<T>(*linear.gradient));
  if (linear.gradient_bias) bias_gradient(context, slope, rows, out, data<T>(*linear.gradient_bias));

  if (drops) context.workspace.reserve_per_thread<T>(std::min(rows, height) * in);
  T* partial = rank > 0 ? context.workspace.shared<T>(blocks * share + rows * rank) : nullptr;
  T* gradient_hidden = partial + blocks * share;
  const auto adapters = [&](std::int64_t block, int thread) {
    operands.backward_rows(input, hidden, slope, block * height, std::min(rows, (block + 1) * height),
                           gradient_hidden, partial + block * share, context.workspace.of_thread<T>(thread));
  };
  if (rank > 0 && (across > 1 || !to_x)) context.threads.run(blocks, adapters);
  if (to_x)
    context.threads.run(blocks * across, [&](std::int64_t task, int thread) {
      const std::int64_t begin = task / across * height, column = task % across * width;
      if (rank > 0 && across == 1) adapters(task, thread);
      operands.backward_tile(slope, gradient_hidden, begin, std::min(rows, begin + height), column,
                             std::min(in, column + width), to_x, context.workspace.of_thread<T>(thread));
    });
  if (rank == 0) return;

  const auto add_shares = [&](std::int64_t offset, const Tensor& gradient) {
    T* __restrict to = data<T>(gradient);
    context.threads.run_blocks(gradient.elements(), 16384,
                               [&, to](std::int64_t begin, std::int64_t end, int) {
                                 for (std::int64_t block = 0; block < blocks; ++block) {
                                   const T* from = partial + block * share + offset;
                                   for (std::int64_t i = begin; i < end; ++i) to[i] += from[i];
                                 }
                               });
  };
  add_shares(0, linear.gradient_lora_a);
  std::int64_t offset = rank * in;
  for (const Lora& lora : linear.adapters) {
    add_shares(offset, lora.gradient_b);
    offset += lora.b.elements();
  }
}

#define ZIPTIE_INSTANTIATE(T)                                                                            \
  template void linear_forward<T>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&,  \
                                  const Tensor&, std::int64_t);                                          \
  template void linear_backward<T>(Context, const Tensor&, const Linear&, const Dropout&, const Tensor&, \
                                   const Tensor&, const Tensor&, std::int64_t);
ZIPTIE_INSTANTIATE(float)
ZIPTIE_INSTANTIATE(double)

}  // namespace ziptie::cpu
