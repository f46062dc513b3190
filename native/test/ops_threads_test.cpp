// The team of threads that the CPU backend's ops run on.

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "engine/backend/cpu/threads.h"

using ziptie::cpu::Threads;

TEST_CASE("every task runs once, on a thread of the team, in thousands of small jobs") {
  for (const int count : {1, 2, 5}) {
    const Threads threads(count);
    REQUIRE(threads.count() == count);
    std::vector<std::atomic<int>> runs(37);
    std::atomic<int> strangers = 0;
    constexpr int jobs = 3000;
    for (int job = 0; job < jobs; ++job)
      threads.run(job % 38, [&](std::int64_t index, int thread) {
        ++runs[index];
        if (thread < 0 || thread >= count) ++strangers;
      });
    CHECK(strangers == 0);
    for (int index = 0; index < 37; ++index) {
      int expected = 0;
      for (int job = 0; job < jobs; ++job) expected += job % 38 > index;
      CHECK(runs[index] == expected);
    }
  }
}

TEST_CASE("blocks cover the range without overlap, the last one short") {
  const Threads threads(2);
  std::vector<std::atomic<int>> covered(1003);
  threads.run_blocks(1003, 100, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) ++covered[i];
  });
  for (const auto& times : covered) CHECK(times == 1);
}

TEST_CASE("an exception of a task reaches the caller, and the team works on") {
  const Threads threads(2);
  for (int round = 0; round < 100; ++round)
    CHECK_THROWS_WITH_AS(threads.run(20,
                                     [](std::int64_t index, int) {
                                       if (index == 7) throw std::runtime_error("task 7");
                                     }),
                         "task 7", std::runtime_error);
  std::atomic<int> done = 0;
  threads.run(20, [&](std::int64_t, int) { ++done; });
  CHECK(done == 20);
}
