// Gives a fuzz target the same damaged files every time: a fuzzer's regression test that needs no clang.
#include <algorithm>
#include <array>
#include <cstdio>
#include <random>
#include <string_view>

#include "fuzz/target.h"

namespace {

/// What readers of lengths, numbers and nesting stumble over.
constexpr std::array<std::string_view, 18> fragments = {"-1",
                                                        "0",
                                                        "1e308",
                                                        "1e400",
                                                        "9223372036854775808",
                                                        "18446744073709551615",
                                                        "0.5",
                                                        "null",
                                                        "true",
                                                        "\"\"",
                                                        "{}",
                                                        "[]",
                                                        "[[[[[[[[",
                                                        "}}}}",
                                                        "\xff",
                                                        "\"\\ud800\"",
                                                        "\"nf4\"",
                                                        ","};

constexpr std::size_t damages_per_seed = 1000;

std::string damaged(std::string file, std::mt19937_64& random) {
  const auto below = [&](std::size_t limit) {
    return static_cast<std::size_t>(random() % std::max<std::size_t>(1, limit));
  };
  for (std::size_t times = 1 + below(4); times > 0; --times) {
    const std::size_t at = below(file.size());
    switch (below(6)) {
      case 0:
        file.resize(at);
        break;
      case 1:
        if (!file.empty()) file[at] = static_cast<char>(random());
        break;
      case 2:
        file.insert(at, fragments[below(fragments.size())]);
        break;
      case 3: {  // in place of a number or word
        const std::size_t length = below(12);
        file.replace(at, std::min(length, file.size() - at), fragments[below(fragments.size())]);
        break;
      }
      case 4:
        file.erase(at, below(20));
        break;
      default:
        file.insert(below(file.size()), file.substr(at, below(80)));
    }
  }
  return file;
}

void give(const std::string& file) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
}

}  // namespace

int main() {
  std::mt19937_64 random(1);  // its sequence is the standard's, the same everywhere
  std::size_t given = 0;
  for (const std::string& seed : seeds()) {
    give(seed);
    for (std::size_t length = 0; length < seed.size(); length += 1 + seed.size() / 500)
      give(seed.substr(0, length));
    for (std::size_t i = 0; i < damages_per_seed; ++i) give(damaged(seed, random));
    given += 1;
  }
  give(std::string(1 << 20, '['));
  std::printf("%zu seeds and their damaged copies were read\n", given);
  return given > 0 ? 0 : 1;
}
