// The engine in a directory that takes no more, or nothing at all.
#include <sys/mount.h>

#include <cerrno>
#include <cstring>

#include "engine_process.h"
#include "skip.h"
#include "temporary_directory.h"

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A file system of `size` in memory, where the test may mount one.
class SmallDisk {
 public:
  SmallDisk(const fs::path& at, const std::string& size) : at_(at) {
    fs::create_directories(at);
    mounted_ = ::mount("tmpfs", at.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    if (!mounted_) refusal_ = std::string("no file system can be mounted here: ") + std::strerror(errno);
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;

  bool is_mounted() const { return mounted_; }
  const std::string& refusal() const { return refusal_; }
  bool remount(unsigned long flags, const std::string& size) const {
    return ::mount("tmpfs", at_.c_str(), "tmpfs", MS_REMOUNT | flags, ("size=" + size).c_str()) == 0;
  }

 private:
  fs::path at_;
  bool mounted_;
  std::string refusal_;
};

struct Fixture {
  TemporaryDirectory directory;
  json plan = tiny_plan(directory.path(), 20);
  fs::path log = directory / "engine.log", disk_path = directory / "disk", run = disk_path / "run";

  fs::path write_plan(const fs::path& output) {
    plan["output"] = output.string();
    const fs::path path = directory / (output.filename().string() + ".json");
    std::ofstream(path) << plan;
    return path;
  }
};

}  // namespace

TEST_CASE_FIXTURE(
    Fixture,
    "On a full disk a run fails with its reason, keeps what it has saved, and goes on once there is space") {
  const SmallDisk disk(disk_path, "128k");
  if (!disk.is_mounted()) return skip(disk.refusal());
  plan["checkpointing"]["save_total_limit"] = nullptr;
  REQUIRE(call({"train", write_plan(directory / "whole").string()}, log) == 0);
  const auto path = write_plan(run);
  CHECK(call({"train", path.string()}, log) == 1);
  CHECK(file_text(log).find("No space left on device; free some space and resume") != std::string::npos);
  CHECK(read_events(run).back()["event"] == "run_failed");
  CHECK(!events_named(run, "checkpoint").empty());
  for (const auto& entry : fs::directory_iterator(run / "checkpoints"))
    CHECK(entry.path().filename().string().starts_with("step-"));
  REQUIRE(disk.remount(0, "4m"));
  CHECK(call({"train", path.string(), "--resume"}, log) == 0);
  CHECK(losses(run) == losses(directory / "whole"));
}

TEST_CASE_FIXTURE(Fixture, "In a read-only directory nothing begins, and nothing is left") {
  const SmallDisk disk(disk_path, "4m");
  if (!disk.is_mounted()) return skip(disk.refusal());
  const auto path = write_plan(run);
  REQUIRE(disk.remount(MS_RDONLY, "4m"));
  CHECK(call({"train", path.string()}, log) == 1);
  CHECK(file_text(log).find("Read-only file system") != std::string::npos);
  REQUIRE(disk.remount(0, "4m"));
  CHECK(!fs::exists(run));
  CHECK(call({"train", path.string()}, log) == 0);
}
