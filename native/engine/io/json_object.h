#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ziptie {

/// A JSON object that is read key by key. Whatever is missing or of another type is refused with the file and
/// the key's path (`optimizer.betas[1]`); keys that nobody asked for can be refused, too. Refers to the JSON
/// it is given.
class JsonObject {
 public:
  /// @throws FileError when `value` is no object
  JsonObject(const nlohmann::json& value, std::string source, std::string path = "");

  bool has(std::string_view key) const;        ///< is there, perhaps as null
  bool has_value(std::string_view key) const;  ///< is there and not null
  bool is_null(std::string_view key);          ///< @throws FileError when the key is missing

  JsonObject object(std::string_view key);
  std::string string(std::string_view key);
  bool boolean(std::string_view key);
  double number(std::string_view key);
  std::int64_t integer(std::string_view key, std::int64_t least);
  const nlohmann::json& array(std::string_view key);
  std::vector<std::string> strings(std::string_view key);
  /// The value of `key` within `names`, which are its only values.
  std::size_t choice(std::string_view key, const std::vector<std::string_view>& names);

  /// The element `index` of the array `key`, which must be an object.
  JsonObject element(std::string_view key, std::size_t index);

  /// @throws FileError naming the first key that was never asked for
  void refuse_other_keys() const;
  /// A FileError: `SOURCE: PATH.KEY: WHAT`.
  [[noreturn]] void refuse(std::string_view key, std::string_view what) const;
  const nlohmann::json& json() const { return *value_; }

 private:
  const nlohmann::json& at(std::string_view key);
  std::string path_of(std::string_view key) const;
  [[noreturn]] void refuse_type(std::string_view key, std::string_view expected,
                                const nlohmann::json& found) const;

  const nlohmann::json* value_;
  std::string source_, path_;
  std::set<std::string, std::less<>> asked_;
};

/// Parses JSON that somebody else wrote: an object may not hold a key twice, and nothing is nested more than
/// 64 deep (what reads, compares and prints JSON recurses).
/// @throws FileError with the position of the mistake, without a source
nlohmann::json parse_json(std::string_view text);

/// The same of a file. @throws FileError naming the file
nlohmann::json read_json(const std::filesystem::path& path);

}  // namespace ziptie
