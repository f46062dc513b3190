#include "engine/model/rope_table.h"

#include <cmath>
#include <numbers>

namespace ziptie {

namespace {

/// Llama 3.1's: short waves stay, long ones are stretched by `factor`, those between are blended.
float llama3_frequency(float frequency, const RopeScaling& scaling) {
  const auto context = static_cast<float>(scaling.original_max_position_embeddings);
  const auto low = static_cast<float>(scaling.low_freq_factor),
             high = static_cast<float>(scaling.high_freq_factor), factor = static_cast<float>(scaling.factor);
  const float wavelength = 1.0f / frequency * static_cast<float>(2 * std::numbers::pi);
  if (wavelength > context / low) return frequency / factor;
  if (wavelength < context / high) return frequency;
  const float smooth = (1.0f / wavelength * context - low) / (high - low);
  return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

}  // namespace

std::vector<float> rope_frequencies(const LlamaConfig& config) {
  std::vector<float> frequencies(config.head_dim / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.head_dim);
    float frequency = 1.0f / std::pow(static_cast<float>(config.rope_theta), exponent);
    if (config.rope_scaling) {
      const RopeScaling& scaling = *config.rope_scaling;
      frequency = scaling.type == RopeScaling::Type::linear ? frequency / static_cast<float>(scaling.factor)
                                                            : llama3_frequency(frequency, scaling);
    }
    frequencies[i] = frequency;
  }
  return frequencies;
}

template <class T>
void RopeTable::fill(std::int64_t positions) {
  const auto half = static_cast<std::int64_t>(frequencies_.size());
  std::vector<T> table(positions * 2 * half);
  for (std::int64_t position = 0; position < positions; ++position) {
    for (std::int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position) * frequencies_[i];
      table[position * 2 * half + i] = std::cos(angle);
      table[position * 2 * half + half + i] = std::sin(angle);
    }
  }
  buffer_ = backend_.allocate(table.size() * sizeof(T));
  table_ = {buffer_.data(), dtype_, 2, {positions, 2 * half}};
  backend_.copy_to_device(table_.data, table.data(), table.size() * sizeof(T));
}

void RopeTable::reach(std::int64_t positions) {
  if (table_.data && table_.shape[0] >= positions) return;
  const std::int64_t rounded = (positions + 255) / 256 * 256;
  if (dtype_ == DType::f64)
    fill<double>(rounded);
  else
    fill<float>(rounded);
}

}  // namespace ziptie
