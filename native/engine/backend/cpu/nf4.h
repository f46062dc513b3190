#pragma once
#include "engine/backend/cpu/kernels.h"

namespace ziptie::cpu {

/// The absmax of one block, restored in two rounded operations where it is quantised itself.
float nf4_absmax(const Nf4& from, std::int64_t block);

/// Elements [begin, begin + count) of the flattened matrix into `to`: code · absmax in float32.
void decode_nf4(const Nf4& from, std::int64_t begin, std::int64_t count, float* to);

void quantize_nf4(Context context, const Tensor& weight, const Nf4& to);
void dequantize_nf4(Context context, const Nf4& from, const Tensor& to);

}  // namespace ziptie::cpu
