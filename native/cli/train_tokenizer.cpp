#include "tokenizer/train_tokenizer.h"

#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/stop_request.h"

namespace ziptie {
namespace {

/// A line on stdout; whoever reads it may be gone.
void say(const nlohmann::ordered_json& event) {
  std::fputs((event.dump() + "\n").c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

int train_tokenizer_command(const TrainTokenizerOptions& options) {
  stop_on_signals();
  using Clock = std::chrono::steady_clock;
  constexpr auto interval = std::chrono::milliseconds(100);
  Clock::time_point last;
  std::string last_phase;
  TrainerControl control;
  // Without a reader nobody waits for the vocabulary any more.
  control.stop = [] { return stop_requested() || std::ferror(stdout) != 0; };
  control.report = [&](std::string_view phase, std::uint64_t done, std::uint64_t total) {
    const auto now = Clock::now();
    if (phase == last_phase && now - last < interval) return;
    last = now;
    last_phase = phase;
    say({{"event", "progress"}, {"phase", phase}, {"done", done}, {"total", total}});
  };
  const TrainedTokenizer trained = train_tokenizer(read_trainer_plan(options.plan), control);
  say({{"event", "finished"},
       {"vocab_size", trained.vocabulary},
       {"merges", trained.merges},
       {"texts", trained.texts},
       {"words", trained.words},
       {"dropped_words", trained.dropped.words},
       {"dropped_occurrences", trained.dropped.occurrences}});
  return 0;
}

}  // namespace ziptie
