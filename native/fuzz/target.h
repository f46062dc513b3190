#pragma once
// What every fuzz target defines.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// libFuzzer's entry point: reads `data` as a file would be read. Ends the process on a finding.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// Small inputs that are good, or nearly, for the fuzzer to begin with.
std::vector<std::string> seeds();

/// Ends the process, saying `what`, unless `holds`.
void require(bool holds, const char* what);
