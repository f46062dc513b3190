#include "engine/infer/generate.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "engine/infer/input_limits.h"

namespace ziptie {
namespace {

/// Prompt tokens of one text that go through the model at a time: bounds what activations take.
constexpr std::int64_t prefill_tokens = 512;

/// A text that is being written.
struct Text {
  std::size_t prompt;
  std::span<const std::uint32_t> input_ids;
  std::int64_t limit;    ///< tokens it may be given
  std::int64_t fed = 0;  ///< tokens, of the prompt and then generated ones, that the cache holds
  std::vector<std::uint32_t> generated = {};

  std::int64_t prompt_length() const { return static_cast<std::int64_t>(input_ids.size()); }
};

class Generation {
 public:
  Generation(Llama& model, std::span<const std::vector<std::uint32_t>> prompts,
             const GenerationSettings& settings, const GenerationEvents& events)
      : model_(model),
        prompts_(prompts),
        settings_(settings),
        events_(events),
        interruption_(interrupted_by(events.stop)),
        sampler_(settings.sampling),
        texts_(std::min<std::size_t>(static_cast<std::size_t>(settings.batch_size), prompts.size())),
        cache_(make_cache()) {}

  void run() {
    try {
      while (fill_slots()) step();
    } catch (const Interrupted&) {
      for (auto& text : texts_)
        if (text) finish(text, Finish::interrupted);
    }
  }

 private:
  std::int64_t limit_of(std::size_t prompt) const {
    return std::clamp<std::int64_t>(
        settings_.max_new_tokens, 0,
        longest_text(model_.config()) - static_cast<std::int64_t>(prompts_[prompt].size()));
  }

  KvCache make_cache() const {
    std::int64_t capacity = 1;
    // The last token is never run, so it needs no room.
    for (std::size_t i = 0; i < prompts_.size(); ++i)
      capacity = std::max(capacity, static_cast<std::int64_t>(prompts_[i].size()) + limit_of(i) - 1);
    const auto slots = static_cast<std::int64_t>(texts_.size());
    try {
      return model_.make_cache(slots, capacity);
    } catch (const std::bad_alloc&) {
      constexpr double gibibyte = 1 << 30;
      throw std::runtime_error(
          "the KV cache of " + std::to_string(slots) + " texts of " + std::to_string(capacity) +
          " tokens takes " + std::to_string(model_.cache_bytes(slots, capacity) / gibibyte) +
          " GiB, which this machine does not give; use a smaller batch size or fewer new tokens");
    }
  }

  /// Gives free slots to the next prompts; whether any text is being written.
  bool fill_slots() {
    for (std::size_t slot = 0; slot < texts_.size(); ++slot)
      while (!texts_[slot] && next_ < prompts_.size()) {
        const std::size_t prompt = next_++;
        texts_[slot] = Text{prompt, prompts_[prompt], limit_of(prompt)};
        if (texts_[slot]->limit == 0)
          finish(texts_[slot], Finish::length);
        else
          cache_.truncate(static_cast<std::int64_t>(slot), 0);
      }
    return std::ranges::any_of(texts_, [](const auto& text) { return text.has_value(); });
  }

  /// One run of the model: the next token of every text, or the next part of its prompt.
  void step() {
    input_ids_.clear();
    offsets_.assign(1, 0);
    slots_.clear();
    for (std::size_t slot = 0; slot < texts_.size(); ++slot) {
      if (!texts_[slot]) continue;
      Text& text = *texts_[slot];
      if (text.fed < text.prompt_length()) {
        const std::int64_t count = std::min(prefill_tokens, text.prompt_length() - text.fed);
        const auto part =
            text.input_ids.subspan(static_cast<std::size_t>(text.fed), static_cast<std::size_t>(count));
        input_ids_.insert(input_ids_.end(), part.begin(), part.end());
        text.fed += count;
      } else {
        input_ids_.push_back(text.generated.back());
        text.fed += 1;
      }
      offsets_.push_back(static_cast<std::uint32_t>(input_ids_.size()));
      slots_.push_back(static_cast<std::uint32_t>(slot));
    }
    const std::vector<float> logits = model_.decode({input_ids_, offsets_, slots_}, cache_, interruption_);
    const auto vocab = static_cast<std::size_t>(model_.config().vocab_size);
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      auto& text = texts_[slots_[i]];
      if (text->fed >= text->prompt_length()) take(text, std::span(logits).subspan(i * vocab, vocab));
    }
  }

  void take(std::optional<Text>& text, std::span<const float> logits) {
    const std::uint32_t id = sampler_.choose(logits, text->prompt, static_cast<std::uint64_t>(text->fed));
    if (std::ranges::find(settings_.stop_ids, id) != settings_.stop_ids.end())
      return finish(text, Finish::stop);
    text->generated.push_back(id);
    if (events_.token) events_.token(text->prompt, id);
    if (static_cast<std::int64_t>(text->generated.size()) == text->limit) finish(text, Finish::length);
  }

  void finish(std::optional<Text>& text, Finish how) {
    events_.finished(text->prompt, text->generated, how);
    text.reset();
  }

  Llama& model_;
  std::span<const std::vector<std::uint32_t>> prompts_;
  const GenerationSettings& settings_;
  const GenerationEvents& events_;
  const InterruptionPoint interruption_;
  TokenSampler sampler_;
  std::vector<std::optional<Text>> texts_;  ///< by slot
  KvCache cache_;
  std::size_t next_ = 0;
  std::vector<std::uint32_t> input_ids_, offsets_, slots_;
};

}  // namespace

std::string_view finish_name(Finish finish) {
  switch (finish) {
    case Finish::stop:
      return "stop";
    case Finish::length:
      return "length";
    case Finish::interrupted:
      return "interrupted";
  }
  throw std::logic_error("a way to finish without a name");
}

void check_prompt(const LlamaConfig& config, std::span<const std::uint32_t> prompt) {
  const auto length = static_cast<std::int64_t>(prompt.size());
  check_ids(config, prompt, "input_ids");
  if (length >= longest_text(config))
    throw std::invalid_argument("the prompt has " + std::to_string(length) + " tokens, the model has " +
                                std::to_string(longest_text(config)) + " positions: none is left");
}

void generate(Llama& model, std::span<const std::vector<std::uint32_t>> prompts,
              const GenerationSettings& settings, const GenerationEvents& events) {
  if (settings.batch_size < 1)
    throw std::invalid_argument("batch_size: expected 1 or more, found " +
                                std::to_string(settings.batch_size));
  for (const auto& prompt : prompts) check_prompt(model.config(), prompt);
  if (!prompts.empty()) Generation(model, prompts, settings, events).run();
}

}  // namespace ziptie
