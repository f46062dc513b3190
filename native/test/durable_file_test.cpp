#include "engine/io/durable_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <stdexcept>

#include "refusal.h"
#include "temporary_directory.h"

using namespace ziptie;
namespace fs = std::filesystem;

namespace {

constexpr const char* taken =
    "another process is writing it at this moment; wait for it, or name another output";

}  // namespace

TEST_CASE("Of two writes to one output at once the second is refused, and the first is whole") {
  const TemporaryDirectory directory;
  const auto output = directory / "model";
  write_aside(output, [&](const fs::path& aside) {
    write_file(aside / "first", "1");
    CHECK(refusal([&] {
            write_aside(output, [](const fs::path& second) { write_file(second / "second", "2"); });
          }) == output.string() + ": " + taken);
  });
  CHECK(read_file(output / "first") == "1");
  CHECK(!fs::exists(output / "second"));
  write_aside(output, [](const fs::path& aside) { write_file(aside / "third", "3"); });
  CHECK(!fs::exists(output / "first"));
  CHECK(read_file(output / "third") == "3");
}

TEST_CASE("What a killed write left is no part of the next, and one that fails leaves nothing") {
  const TemporaryDirectory directory;
  fs::create_directory(directory / ".model.tmp");
  write_file(directory / ".model.tmp" / "half", "written");
  CHECK(refusal([&] {
          write_aside(directory / "model", [](const fs::path& aside) {
            CHECK(fs::is_empty(aside));
            throw std::runtime_error("failed");
          });
        }) == "failed");
  CHECK(fs::is_empty(directory.path()));
}

TEST_CASE("A file that another process writes is left to it") {
  const TemporaryDirectory directory;
  const auto path = directory / "vocabulary.json", aside = directory / ".vocabulary.json.tmp";
  write_file(aside, "half");
  const int other = ::open(aside.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(other, LOCK_EX | LOCK_NB) == 0);
  CHECK(refusal([&] { write_file_aside(path, "{}"); }) == path.string() + ": " + taken);
  CHECK(read_file(aside) == "half");
  ::close(other);
  write_file_aside(path, "{}");
  CHECK(read_file(path) == "{}");
  CHECK(!fs::exists(aside));
}
