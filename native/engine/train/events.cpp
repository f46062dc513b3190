#include "engine/train/events.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>

#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

/// Whether the file has content that does not end in a newline.
bool ends_within_a_line(int descriptor) {
  struct stat status {};
  char last = '\n';
  if (::fstat(descriptor, &status) != 0 || status.st_size == 0) return false;
  return ::pread(descriptor, &last, 1, status.st_size - 1) == 1 && last != '\n';
}

void replace_non_finite(nlohmann::ordered_json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) value = nullptr;
  if (value.is_structured()) {
    for (auto& element : value) replace_non_finite(element);
  }
}

}  // namespace

std::string utc_now() {
  const auto now = std::chrono::system_clock::now();
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     milliseconds);
}

EventLog::EventLog(std::filesystem::path path)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0)
    throw FileError(fmt::format("{}: cannot open: {}", path_.string(), std::strerror(errno)));
  if (ends_within_a_line(descriptor_) && ::write(descriptor_, "\n", 1) != 1) {
    const int error = errno;
    ::close(descriptor_);
    throw FileError(fmt::format("{}: cannot write: {}", path_.string(), std::strerror(error)));
  }
}

EventLog::~EventLog() { ::close(descriptor_); }

void EventLog::write(const std::string& event, nlohmann::ordered_json fields) {
  nlohmann::ordered_json line = {{"event", event}, {"time", utc_now()}};
  replace_non_finite(fields);
  line.update(fields);
  // Paths need not be UTF-8; JSON must be.
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  ssize_t written;
  do {
    written = ::write(descriptor_, text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  if (written != static_cast<ssize_t>(text.size())) {
    // A short write has met the end of the disk (or of a quota).
    throw FileError(
        fmt::format("{}: cannot write: {}", path_.string(), std::strerror(written < 0 ? errno : ENOSPC)));
  }
}

EventSummary summarize_events(const std::filesystem::path& path) {
  EventSummary summary;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto event = nlohmann::json::parse(line, nullptr, false);
    if (!event.is_object() || !event.contains("event")) continue;
    if (event["event"] == "run_started") summary.started = true;
    if (event["event"] == "run_finished") summary.finished = event.value("state", "") == "finished";
  }
  return summary;
}

}  // namespace ziptie
