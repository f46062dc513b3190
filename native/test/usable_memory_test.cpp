#include <doctest/doctest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/memory.h"
#include "temporary_directory.h"

using namespace ziptie;
namespace fs = std::filesystem;

namespace {

/// Control groups as a system lays them out.
struct Fixture {
  TemporaryDirectory directory;
  std::uint64_t machine =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));

  void write(const fs::path& path, const std::string& text) const {
    fs::create_directories((directory / path).parent_path());
    std::ofstream(directory / path) << text << '\n';
  }
  std::uint64_t usable() const { return cpu::usable_memory(directory / "cgroup", directory / "root"); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "Without control groups a process may use the machine's memory") {
  CHECK(usable() == machine);
  CHECK(make_cpu_backend(1)->memory() > 0);
  CHECK(make_cpu_backend(1)->memory() <= machine);
}

TEST_CASE_FIXTURE(Fixture, "The least limit of a process's group and those above it holds") {
  write("cgroup", "0::/user.slice/session.scope");
  write("root/user.slice/session.scope/memory.max", "max");
  CHECK(usable() == machine);
  write("root/user.slice/memory.max", "1048576");
  CHECK(usable() == 1048576);
  write("root/user.slice/session.scope/memory.max", "65536");
  CHECK(usable() == 65536);
  write("root/user.slice/other.scope/memory.max", "4096");
  CHECK(usable() == 65536);
}

TEST_CASE_FIXTURE(Fixture, "Within a container the root is the process's own group, whatever its path says") {
  write("cgroup", "0::/docker/4f5e");
  write("root/memory.max", "1048576");
  CHECK(usable() == 1048576);
}

TEST_CASE_FIXTURE(Fixture, "Groups of version 1 limit, too, and only those of memory") {
  write("cgroup", "5:cpu,cpuacct:/a\n4:memory:/a/b");
  write("root/memory/memory.limit_in_bytes", "9223372036854771712");
  write("root/memory/a/b/memory.limit_in_bytes", "131072");
  write("root/cpu/a/memory.limit_in_bytes", "1");
  CHECK(usable() == 131072);
}

TEST_CASE("The peak of the CPU's memory grows with what is used of buffers, and stays") {
  const auto backend = make_cpu_backend(1);
  constexpr std::size_t bytes = std::size_t{96} << 20;
  const std::uint64_t before = backend->peak_memory();
  REQUIRE(before > 0);
  // The kernel counts in batches of pages, and some of what was in use before may have been given back.
  const std::uint64_t expected = before + bytes / 2;
  {
    const Buffer buffer = backend->allocate(bytes);
    std::memset(buffer.data(), 1, bytes);
    CHECK(backend->peak_memory() >= expected);
  }
  CHECK(backend->peak_memory() >= expected);
}
