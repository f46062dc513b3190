// Writes the seeds of a fuzz target into a directory.
#include <filesystem>
#include <fstream>

#include "fuzz/target.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path directory(argv[1]);
  std::filesystem::create_directories(directory);
  int number = 0;
  for (const std::string& seed : seeds()) {
    std::ofstream file(directory / ("seed-" + std::to_string(number++)), std::ios::binary);
    if (!(file << seed)) return 1;
  }
  return 0;
}
