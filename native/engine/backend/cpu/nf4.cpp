#include "engine/backend/cpu/nf4.h"

#include <immintrin.h>

#include <cmath>

#include "engine/backend/bfloat16.h"
#include "engine/backend/dynamic_map.h"
#include "engine/backend/nf4_table.h"

namespace ziptie::cpu {

namespace {

constexpr auto signed_midpoints = midpoints(signed_dynamic_map);

constexpr std::array<float, 15> nf4_midpoints = [] {
  std::array<float, 15> between{};
  for (std::size_t i = 0; i < between.size(); ++i) between[i] = (nf4_codes[i] + nf4_codes[i + 1]) / 2;
  return between;
}();

/// The code whose neighbourhood x lies in; between two, the lower.
std::uint8_t nf4_code(float x) {
  std::uint8_t code = 0;
  for (const float between : nf4_midpoints) code += x > between;
  return code;
}

/// The code of the signed dynamic map for x in [−1, 1], as bitsandbytes' CPU build finds it: x is put on a
/// grid of 2¹⁶ numbers first, which near zero is wider than the codes' distances.
std::uint8_t dynamic_code(float x) {
  const float place = std::floor((x + 1.0F) * 32767.5F + 0.5F);
  const auto on_grid = static_cast<float>(static_cast<double>(place) * 2.0 / 65535.0 - 1.0);
  return static_cast<std::uint8_t>(std::ranges::lower_bound(signed_midpoints, on_grid) -
                                   signed_midpoints.begin());
}

/// The sixteen values of a block.
struct Values {
  alignas(32) std::array<float, 16> of_code;

  explicit Values(float absmax) {
    for (std::size_t i = 0; i < of_code.size(); ++i) of_code[i] = nf4_codes[i] * absmax;
  }
};

__m256 look_up(__m256 low, __m256 high, __m256i codes) {
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, codes), _mm256_permutevar8x32_ps(high, codes),
                          _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28)));
}

/// Sixteen elements from eight bytes.
void decode_sixteen(const Values& values, const std::uint8_t* bytes, float* to) {
  const __m256 low = _mm256_load_ps(values.of_code.data()), high = _mm256_load_ps(values.of_code.data() + 8);
  const __m256i pairs = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
  const __m256 even = look_up(low, high, _mm256_srli_epi32(pairs, 4));
  const __m256 odd = look_up(low, high, _mm256_and_si256(pairs, _mm256_set1_epi32(15)));
  const __m256 first = _mm256_unpacklo_ps(even, odd), second = _mm256_unpackhi_ps(even, odd);
  _mm256_storeu_ps(to, _mm256_permute2f128_ps(first, second, 0x20));
  _mm256_storeu_ps(to + 8, _mm256_permute2f128_ps(first, second, 0x31));
}

}  // namespace

float nf4_absmax(const Nf4& from, std::int64_t block) {
  if (!from.nested_absmax.data) return data<const float>(from.absmax)[block];
  float scaled = signed_dynamic_map[data<const std::uint8_t>(from.absmax)[block]] *
                 data<const float>(from.nested_absmax)[block / nf4_nested_block];
  asm("" : "+x"(scaled));  // or the compiler fuses the two operations, which rounds once only
  return scaled + *data<const float>(from.nested_offset);
}

void decode_nf4(const Nf4& from, std::int64_t begin, std::int64_t count, float* to) {
  const auto* bytes = data<const std::uint8_t>(from.codes);
  for (std::int64_t i = begin; i < begin + count;) {
    const std::int64_t end = std::min(begin + count, (i / nf4_block + 1) * nf4_block);
    const Values values(nf4_absmax(from, i / nf4_block));
    const auto one = [&] {
      const std::uint8_t pair = bytes[i / 2];
      *to++ = values.of_code[i % 2 == 0 ? pair >> 4 : pair & 15];
      ++i;
    };
    if (i % 2 != 0) one();
    for (; i + 16 <= end; i += 16, to += 16) decode_sixteen(values, bytes + i / 2, to);
    while (i < end) one();
  }
}

void quantize_nf4(Context context, const Tensor& weight, const Nf4& to) {
  const std::int64_t n = weight.elements(), blocks = (n + nf4_block - 1) / nf4_block;
  const auto* from = data<const float>(weight);
  const bool nested = to.nested_absmax.data != nullptr;
  auto* largest = nested ? context.workspace.shared<float>(blocks) : data<float>(to.absmax);
  context.threads.run_blocks(blocks, 256, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t block = first; block < last; ++block) {
      const std::int64_t begin = block * nf4_block, end = std::min(n, begin + nf4_block);
      float high = 0;
      for (std::int64_t i = begin; i < end; ++i) high = std::max(high, std::abs(from[i]));
      largest[block] = high;
      const float shrink = 1.0F / std::max(high, 1e-38F);
      const auto code = [&](std::int64_t i) { return i < end ? nf4_code(from[i] * shrink) : nf4_code(0); };
      for (std::int64_t i = begin; i < end; i += 2)
        data<std::uint8_t>(to.codes)[i / 2] = static_cast<std::uint8_t>(code(i) << 4 | code(i + 1));
    }
  });
  if (!nested) return;

  double total = 0;
  for (std::int64_t block = 0; block < blocks; ++block) total += largest[block];
  const auto offset = static_cast<float>(total / static_cast<double>(std::max<std::int64_t>(1, blocks)));
  *data<float>(to.nested_offset) = offset;
  context.threads.run_blocks(blocks, nf4_nested_block, [&](std::int64_t begin, std::int64_t end, int) {
    float high = 0;
    for (std::int64_t i = begin; i < end; ++i) high = std::max(high, std::abs(largest[i] - offset));
    data<float>(to.nested_absmax)[begin / nf4_nested_block] = high;
    const float shrink = high > 0 ? 1.0F / high : 0.0F;
    for (std::int64_t i = begin; i < end; ++i)
      data<std::uint8_t>(to.absmax)[i] = dynamic_code((largest[i] - offset) * shrink);
  });
}

void dequantize_nf4(Context context, const Nf4& from, const Tensor& to) {
  constexpr std::int64_t piece = 4096;
  context.threads.run_blocks(to.elements(), piece, [&](std::int64_t begin, std::int64_t end, int) {
    if (to.dtype == DType::f32) return decode_nf4(from, begin, end - begin, data<float>(to) + begin);
    float wide[piece];
    decode_nf4(from, begin, end - begin, wide);
    for (std::int64_t i = begin; i < end; ++i) data<std::uint16_t>(to)[i] = to_bf16(wide[i - begin]);
  });
}

}  // namespace ziptie::cpu
