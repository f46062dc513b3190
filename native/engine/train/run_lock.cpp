#include "engine/train/run_lock.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "engine/io/descriptor.h"
#include "engine/io/durable_file.h"
#include "engine/io/file_lock.h"
#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

struct Owner {
  int pid = 0;
  unsigned long long start_time = 0;
};

Owner read_owner(int descriptor) {
  char text[256];
  const ssize_t length = ::pread(descriptor, text, sizeof text, 0);
  if (length <= 0) return {};
  const auto json = nlohmann::json::parse(text, text + length, nullptr, false);
  if (!json.is_object() || !json.contains("pid") || !json["pid"].is_number_integer()) return {};
  if (!json.contains("start_time") || !json["start_time"].is_number_integer()) return {};
  return {json["pid"].get<int>(), json["start_time"].get<unsigned long long>()};
}

bool lives(const Owner& owner) {
  return owner.pid > 0 && owner.start_time != 0 && process_start_time(owner.pid) == owner.start_time;
}

}  // namespace

unsigned long long process_start_time(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  // Field 2, the name in parentheses, may hold anything.
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state, skipped;
  fields >> state;  // field 3
  if (state == "Z" || state == "X") return 0;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  unsigned long long start_time = 0;
  fields >> start_time;
  return start_time;
}

RunLock::RunLock(const std::filesystem::path& run_directory) : path_(run_directory / "run.lock") {
  while (true) {
    Descriptor opened(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (opened.value < 0) fail(path_, "open", errno);
    // The system's lock decides between two engines that start at once; what the file says is for everybody
    // else, and for file systems whose locks do not reach other machines' or containers' processes.
    const LockAttempt attempt = try_lock(opened.value, path_);
    if (!is_same_file(opened.value, path_)) continue;
    const Owner owner = read_owner(opened.value);
    if (attempt == LockAttempt::held_elsewhere || lives(owner)) {
      throw FileError(fmt::format(
          "{}: an engine already trains in this directory{}; wait for it, stop it, or choose another output",
          run_directory.string(), owner.pid > 0 ? fmt::format(" (process {})", owner.pid) : ""));
    }
    const int pid = ::getpid();
    const std::string text = fmt::format("{{\"pid\":{},\"start_time\":{}}}\n", pid, process_start_time(pid));
    if (::pwrite(opened.value, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
        ::ftruncate(opened.value, static_cast<off_t>(text.size())) != 0) {
      fail(path_, "write", errno);
    }
    descriptor_ = std::exchange(opened.value, -1);
    return;
  }
}

RunLock::~RunLock() {
  // Removed while still locked, so that nobody else's lock can be meant.
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
  ::close(descriptor_);
}

}  // namespace ziptie
