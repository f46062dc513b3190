#include "engine/io/write_aside.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <stdexcept>

#include "engine/io/durable_file.h"
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
  fs::create_directory(directory / ".model.77-0.tmp");
  write_file(directory / ".model.77-0.tmp" / "half", "written");
  write_file(directory / ".model.lock", "");
  const auto of_another = directory / ".model.bin.77-0.tmp";
  write_file(of_another, "half");
  CHECK(refusal([&] {
          write_aside(directory / "model", [](const fs::path& aside) {
            CHECK(fs::is_empty(aside));
            CHECK(!fs::exists(aside.parent_path() / ".model.77-0.tmp"));
            throw std::runtime_error("failed");
          });
        }) == "failed");
  CHECK(fs::remove(of_another));
  CHECK(fs::is_empty(directory.path()));
}

TEST_CASE("A file that another process writes is left to it") {
  const TemporaryDirectory directory;
  const auto path = directory / "vocabulary.json", aside = directory / ".vocabulary.json.77-0.tmp",
             lock = directory / ".vocabulary.json.lock";
  write_file(aside, "half");
  const int other = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  REQUIRE(::flock(other, LOCK_EX | LOCK_NB) == 0);
  CHECK(refusal([&] { write_file_aside(path, "{}"); }) == path.string() + ": " + taken);
  CHECK(read_file(aside) == "half");
  ::close(other);
  write_file_aside(path, "{}");
  CHECK(read_file(path) == "{}");
  CHECK(!fs::exists(aside));
  CHECK(!fs::exists(lock));
}

TEST_CASE("What is whole is kept, also where its name has been taken meanwhile") {
  const TemporaryDirectory directory;
  const auto output = directory / "model";
  const std::string message = refusal([&] {
    write_aside(
        output,
        [&](const fs::path& aside) {
          write_file(aside / "mine", "1");
          fs::create_directory(output);
          write_file(output / "theirs", "2");
        },
        Existing::refuse);
  });
  CHECK_MESSAGE(message.find("whole, and kept at " + output.string() + ".new") != std::string::npos, message);
  CHECK(read_file(output / "theirs") == "2");
  CHECK(read_file(directory / "model.new" / "mine") == "1");
}

TEST_CASE("A directory takes another's place, also on a file system that cannot exchange names") {
  for (const Replacement replacement : {Replacement::exchange, Replacement::in_turn}) {
    const TemporaryDirectory directory;
    const auto output = directory / "model", aside = directory / "aside";
    const auto replace_with = [&](const char* text) {
      fs::create_directory(aside);
      write_file(aside / "text", text);
      replace_directory(aside, output, replacement);
      CHECK(read_file(output / "text") == text);
      CHECK(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()) == 1);
    };
    replace_with("first");
    replace_with("second");
    // As a power cut between the two steps leaves it.
    fs::rename(output, directory / ".model.old");
    replace_with("third");
    // The new one cannot be moved: the old one is what it was.
    CHECK(refusal([&] { replace_directory(aside, output, replacement); }).find("cannot create") !=
          std::string::npos);
    CHECK(read_file(output / "text") == "third");
  }
}
