#include "engine/io/json_object.h"

#include <fmt/core.h>

#include <cmath>
#include <utility>

#include "engine/io/durable_file.h"
#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

/// Beyond it, JSON's numbers are not whole numbers everywhere (Number.MAX_SAFE_INTEGER).
constexpr std::int64_t largest_integer = (std::int64_t{1} << 53) - 1;

constexpr int deepest_nesting = 64;

std::string excerpt(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "…";
}

/// What nlohmann-json says of a mistake, which quotes the token it stumbled over, however long that is.
std::string parse_error(const nlohmann::json::exception& error) {
  constexpr std::size_t longest = 200;
  const std::string what = error.what();
  return what.size() <= longest ? what : what.substr(0, longest) + "…";
}

}  // namespace

JsonObject::JsonObject(const nlohmann::json& value, std::string source, std::string path)
    : value_(&value), source_(std::move(source)), path_(std::move(path)) {
  if (!value.is_object()) {
    throw FileError(fmt::format("{}: {}expected an object, found {}", source_,
                                path_.empty() ? "" : path_ + ": ", excerpt(value)));
  }
}

bool JsonObject::has(std::string_view key) const { return value_->contains(key); }

bool JsonObject::has_value(std::string_view key) const {
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

bool JsonObject::is_null(std::string_view key) { return at(key).is_null(); }

JsonObject JsonObject::object(std::string_view key) { return {at(key), source_, path_of(key)}; }

std::string JsonObject::string(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_string()) refuse_type(key, "a string", value);
  return value.get<std::string>();
}

bool JsonObject::boolean(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_boolean()) refuse_type(key, "true or false", value);
  return value.get<bool>();
}

double JsonObject::number(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_number()) refuse_type(key, "a number", value);
  return value.get<double>();
}

std::int64_t JsonObject::integer(std::string_view key, std::int64_t least) {
  const auto& value = at(key);
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(std::abs(number) <= static_cast<double>(largest_integer)) || number != std::floor(number)) {
    refuse_type(key, "a whole number", value);
  }
  if (number < static_cast<double>(least)) refuse_type(key, fmt::format("at least {}", least), value);
  return static_cast<std::int64_t>(number);
}

const nlohmann::json& JsonObject::array(std::string_view key) {
  const auto& value = at(key);
  if (!value.is_array()) refuse_type(key, "an array", value);
  return value;
}

std::vector<std::string> JsonObject::strings(std::string_view key) {
  std::vector<std::string> strings;
  for (const auto& value : array(key)) {
    if (!value.is_string()) refuse_type(fmt::format("{}[{}]", key, strings.size()), "a string", value);
    strings.push_back(value.get<std::string>());
  }
  return strings;
}

std::size_t JsonObject::choice(std::string_view key, const std::vector<std::string_view>& names) {
  const std::string value = string(key);
  std::string all;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (value == names[i]) return i;
    all += fmt::format("{}'{}'", i == 0 ? "" : i + 1 == names.size() ? " or " : ", ", names[i]);
  }
  refuse_type(key, all, at(key));
}

JsonObject JsonObject::element(std::string_view key, std::size_t index) {
  return {array(key).at(index), source_, fmt::format("{}[{}]", path_of(key), index)};
}

void JsonObject::refuse_other_keys() const {
  for (const auto& [key, value] : value_->items()) {
    if (!asked_.contains(key)) refuse(key, "there is no such key");
  }
}

void JsonObject::refuse(std::string_view key, std::string_view what) const {
  throw FileError(fmt::format("{}: {}: {}", source_, path_of(key), what));
}

const nlohmann::json& JsonObject::at(std::string_view key) {
  asked_.emplace(key);
  const auto found = value_->find(key);
  if (found == value_->end()) refuse(key, "the key is missing");
  return *found;
}

std::string JsonObject::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void JsonObject::refuse_type(std::string_view key, std::string_view expected,
                             const nlohmann::json& found) const {
  refuse(key, fmt::format("expected {}, found {}", expected, excerpt(found)));
}

nlohmann::json parse_json(std::string_view text) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, Event event, nlohmann::json& parsed) {
    if (depth >= deepest_nesting && (event == Event::object_start || event == Event::array_start)) {
      throw FileError(fmt::format("nested more than {} deep", deepest_nesting));
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw FileError(fmt::format("the key {} is there twice", excerpt(parsed)));
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, check);
  } catch (const nlohmann::json::exception& error) {
    throw FileError(fmt::format("not JSON: {}", parse_error(error)));
  }
}

nlohmann::json read_json(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  try {
    return parse_json(text);
  } catch (const FileError& error) {
    throw FileError(fmt::format("{}: {}", path.string(), error.what()));
  }
}

}  // namespace ziptie
