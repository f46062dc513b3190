#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "skip.h"

namespace {

/// What CMakeLists.txt tells CTest to take for a test that was skipped.
constexpr int skipped = 77;

bool something_was_skipped = false;

}  // namespace

void skip(const std::string& reason) {
  std::printf("skipped: %s\n", reason.c_str());
  something_was_skipped = true;
}

int main(int argc, char** argv) {
  const int status = doctest::Context(argc, argv).run();
  return status == 0 && something_was_skipped ? skipped : status;
}
