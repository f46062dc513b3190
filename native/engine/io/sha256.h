#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "engine/io/interruption.h"

namespace ziptie {

/// SHA-256 (FIPS 180-4) in lower-case hexadecimal. Written out here because the engine ships what it links,
/// and a whole cryptography library is a lot to ship, and to keep safe, for telling whether an input file has
/// changed.
std::string sha256(std::span<const std::byte> bytes);

/// Of a file's contents. @throws FileError
std::string sha256_of_file(const std::filesystem::path& path, const InterruptionPoint& interruption = {});

}  // namespace ziptie
