#include "cli/json_lines.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <stdexcept>

#include "engine/io/safetensors.h"

namespace ziptie {

void read_json_lines(const std::filesystem::path& path,
                     const std::function<void(JsonObject&, const nlohmann::json& id)>& read) {
  std::ifstream file(path);
  if (!file) throw FileError(fmt::format("{}: cannot open", path.string()));
  std::map<nlohmann::json, std::int64_t> lines_of_ids;
  std::int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    number += 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string source = fmt::format("{}:{}", path.string(), number);
    nlohmann::json value;
    try {
      value = parse_json(line);
    } catch (const FileError& error) {
      throw FileError(fmt::format("{}: {}", source, error.what()));
    }
    JsonObject json(value, source);
    if (json.is_null("id")) json.refuse("id", "expected a string or a number, which names the answer");
    const nlohmann::json id = value["id"];
    if (!id.is_string() && !id.is_number()) json.refuse("id", "expected a string or a number");
    const auto [other, is_new] = lines_of_ids.emplace(id, number);
    if (!is_new) json.refuse("id", fmt::format("{} is line {}'s already", id.dump(), other->second));
    try {
      read(json, id);
    } catch (const std::invalid_argument& error) {
      throw FileError(fmt::format("{}: {}", source, error.what()));
    }
    json.refuse_other_keys();
  }
  if (file.bad()) throw FileError(fmt::format("{}: cannot read: {}", path.string(), std::strerror(errno)));
}

std::vector<std::uint32_t> token_ids(JsonObject& json, std::string_view key) {
  std::vector<std::uint32_t> ids;
  for (const auto& id : json.array(key)) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > UINT32_MAX)
      json.refuse(key, "expected token ids");
    ids.push_back(id.get<std::uint32_t>());
  }
  return ids;
}

void write_json_line(const nlohmann::ordered_json& value) {
  const std::string line = value.dump() + "\n";
  if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fflush(stdout) != 0)
    throw FileError(fmt::format("standard output: cannot write: {}", std::strerror(errno)));
}

}  // namespace ziptie
