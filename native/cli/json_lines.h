#pragma once
// Requests in a file with a JSON object on each line, answers likewise on stdout.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/io/json_object.h"

namespace ziptie {

/// Reads every line that is not blank; each object must have an `id` that no other has.
/// @param read is given the line's object, its id and what messages call the line; what it throws as
///        std::invalid_argument is said with the line
/// @throws FileError naming the file and the line
void read_json_lines(const std::filesystem::path& path,
                     const std::function<void(JsonObject&, const nlohmann::json& id)>& read);

/// The token ids at `key`. @throws FileError
std::vector<std::uint32_t> token_ids(JsonObject& json, std::string_view key);

/// Writes a line to stdout and flushes it. @throws FileError when stdout takes no more
void write_json_line(const nlohmann::ordered_json& value);

}  // namespace ziptie
