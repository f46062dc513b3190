#pragma once
// events.jsonl: what the engine says about a run (language-server/src/training/events.ts).

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace ziptie {

/// Appends events to a file, one JSON object a line, each in one write: a reader sees whole lines, but
/// perhaps a last one.
class EventLog {
 public:
  /// Opens or creates `path`. A line that a killed engine left half-written is ended, so that the next one
  /// stands alone.
  ///
  explicit EventLog(std::filesystem::path path);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// Adds `event` and the time to `fields` and writes the line. Numbers that are not finite become null.
  /// @throws FileError, e.g. on a full disk
  void write(const std::string& event, nlohmann::ordered_json fields);

 private:
  std::filesystem::path path_;
  int descriptor_;
};

/// What a run directory's events say of its past.
struct EventSummary {
  bool started = false;   ///< a run has begun here
  bool finished = false;  ///< and gone through all of its steps
};

/// Reads the complete lines of `path`; a missing file says nothing.
EventSummary summarize_events(const std::filesystem::path& path);

/// Now, as ISO 8601 in UTC with milliseconds.
std::string utc_now();

}  // namespace ziptie
