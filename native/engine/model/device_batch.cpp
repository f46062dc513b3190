#include "engine/model/device_batch.h"

#include <algorithm>
#include <stdexcept>

namespace ziptie {

namespace {

void check(const Batch& batch, const LlamaConfig& config) {
  const auto& ids = batch.input_ids;
  const auto& offsets = batch.sequence_offsets;
  if (batch.loss_mask.size() != ids.size())
    throw std::invalid_argument("loss_mask has " + std::to_string(batch.loss_mask.size()) +
                                " tokens, input_ids has " + std::to_string(ids.size()));
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != ids.size() ||
      !std::ranges::is_sorted(offsets))
    throw std::invalid_argument("sequence_offsets does not rise from 0 to the number of tokens, " +
                                std::to_string(ids.size()));
  const auto unknown = std::ranges::find_if(ids, [&](std::uint32_t id) { return id >= config.vocab_size; });
  if (unknown != ids.end())
    throw std::invalid_argument("input_ids[" + std::to_string(unknown - ids.begin()) + "] is " +
                                std::to_string(*unknown) + ", the model's vocabulary has " +
                                std::to_string(config.vocab_size) + " tokens");
}

}  // namespace

void check_length(std::int64_t tokens, const LlamaConfig& config) {
  if (config.sliding_window && tokens > *config.sliding_window)
    throw std::invalid_argument("a sequence has " + std::to_string(tokens) +
                                " tokens, but this model attends to the last " +
                                std::to_string(*config.sliding_window) +
                                " alone (sliding_window), which the engine does not compute; keep sequences "
                                "within the window");
}

Tensor put_on_device(std::span<const std::uint32_t> values, Backend& backend, Arena& arena) {
  const Tensor tensor = arena.take(DType::u32, {static_cast<std::int64_t>(values.size())});
  if (!values.empty()) backend.copy_to_device(tensor.data, values.data(), values.size_bytes());
  return tensor;
}

DeviceBatch put_on_device(const Batch& batch, const LlamaConfig& config, Backend& backend, Arena& arena) {
  check(batch, config);
  std::vector<std::uint32_t> positions(batch.input_ids.size()), rows, targets;
  std::int64_t longest = 0;
  for (std::size_t sequence = 0; sequence + 1 < batch.sequence_offsets.size(); ++sequence) {
    const std::uint32_t begin = batch.sequence_offsets[sequence], end = batch.sequence_offsets[sequence + 1];
    longest = std::max<std::int64_t>(longest, end - begin);
    for (std::uint32_t t = begin; t < end; ++t) {
      positions[t] = t - begin;
      if (t + 1 < end && batch.loss_mask[t + 1]) {
        rows.push_back(t);
        targets.push_back(batch.input_ids[t + 1]);
      }
    }
  }
  check_length(longest, config);
  DeviceBatch made;
  made.input_ids = put_on_device(batch.input_ids, backend, arena);
  made.positions = put_on_device(positions, backend, arena);
  made.sequences.offsets = put_on_device(batch.sequence_offsets, backend, arena);
  made.sequences.count = static_cast<std::int64_t>(batch.sequence_offsets.size()) - 1;
  made.sequences.longest = longest;
  made.supervised_rows = put_on_device(rows, backend, arena);
  made.targets = put_on_device(targets, backend, arena);
  return made;
}

}  // namespace ziptie
