#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "engine/train/events.h"
#include "engine/train/progress_line.h"
#include "engine/train/run.h"
#include "engine/train/trainer.h"

namespace ziptie {

/// What a run says of itself: each thing once to events.jsonl and once, for people, to the log.
class RunReport {
 public:
  RunReport(EventLog& events, const RunControl& control) : events_(events), control_(control) {}

  struct Beginning {
    std::string device;
    std::int64_t parameters = 0, trainable_parameters = 0;
    std::int64_t steps = 0;
    RowCounts rows;  ///< from the data sets on, with what was dropped before there were shards
    std::optional<RowCounts> evaluation_rows;
    std::optional<std::int64_t> resumed_from;
    std::int64_t done = 0;  ///< steps taken before this process began
  };
  void started(const Beginning& beginning);
  /// `memory_bytes`: what the backend has used at most.
  void step(std::int64_t step, double epoch, const StepResult& result, double seconds,
            std::uint64_t memory_bytes);
  void evaluating(std::int64_t step, std::int64_t done, std::int64_t rows);
  void evaluated(std::int64_t step, const Loss& loss);
  void saved(std::int64_t step, const std::filesystem::path& checkpoint);
  void warning(std::int64_t step, const std::string& message);
  void finished(const RunOutcome& outcome);
  void log(const std::string& line) const { control_.log(line); }

 private:
  EventLog& events_;
  const RunControl& control_;
  std::optional<ProgressLine> progress_;
};

/// `message` as a whole sentence, with a full stop.
std::string as_sentence(std::string message);

}  // namespace ziptie
