#pragma once
#include <string>

/// Says that a test, which then returns, cannot be carried out here, and why. CTest counts it as skipped,
/// unless something in it has failed.
void skip(const std::string& reason);
