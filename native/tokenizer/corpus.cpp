#include "tokenizer/corpus.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"

namespace ziptie {
namespace {

constexpr std::size_t chunk_size = 1 << 20;

/// Takes one string out of a JSON object, and builds nothing of the rest.
class FieldReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit FieldReader(std::string_view field) : field_(field) {}

  bool found() const { return found_; }
  const std::string& text() const { return text_; }
  const std::string& complaint() const { return complaint_; }

  bool key(string_t& name) override {
    wanted_ = depth_ == 1 && is_object_ && name == field_;
    return true;
  }
  bool string(string_t& value) override {
    if (wanted_) {
      text_ = std::move(value);
      found_ = true;
    }
    return scalar();
  }
  bool start_object(std::size_t) override {
    if (depth_ == 0) is_object_ = true;
    return begin();
  }
  bool start_array(std::size_t) override { return begin(); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool null() override { return scalar(); }
  bool boolean(bool) override { return scalar(); }
  bool number_integer(number_integer_t) override { return scalar(); }
  bool number_unsigned(number_unsigned_t) override { return scalar(); }
  bool number_float(number_float_t, const string_t&) override { return scalar(); }
  bool binary(binary_t&) override { return scalar(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) override {
    complaint_ = error.what();
    return false;
  }

 private:
  bool scalar() {
    wanted_ = false;
    return true;
  }
  bool begin() {
    wanted_ = false;
    ++depth_;
    return true;
  }
  bool end() {
    --depth_;
    return true;
  }

  std::string_view field_;
  int depth_ = 0;
  bool is_object_ = false, wanted_ = false, found_ = false;
  std::string text_, complaint_;
};

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

Corpus::Corpus(const std::vector<CorpusFile>& files) : files_(files) {
  mapped_.reserve(files.size());
  for (std::size_t file = 0; file < files.size(); ++file) {
    const auto bytes = mapped_.emplace_back(files[file].path).bytes();
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    bytes_ += text.size();
    while (!text.empty()) {
      std::size_t end = std::min(chunk_size, text.size());
      if (end < text.size()) {
        const std::size_t newline = text.find('\n', end - 1);
        end = newline == std::string_view::npos ? text.size() : newline + 1;
      }
      chunks_.push_back({file, text.substr(0, end)});
      text.remove_prefix(end);
    }
  }
}

void Corpus::read(std::size_t chunk, const std::function<void(std::string_view)>& take) const {
  const CorpusFile& file = files_[chunks_[chunk].file];
  for (std::string_view rest = chunks_[chunk].text; !rest.empty();) {
    const std::size_t newline = std::min(rest.find('\n'), rest.size());
    const std::string_view line = without_return(rest.substr(0, newline));
    rest.remove_prefix(std::min(newline + 1, rest.size()));
    if (file.format == CorpusFormat::text) {
      if (!line.empty()) take(line);
      continue;
    }
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    FieldReader reader(file.field);
    const bool is_json = nlohmann::json::sax_parse(line, &reader);
    if (is_json && reader.found()) {
      if (!reader.text().empty()) take(reader.text());
      continue;
    }
    const auto bytes = mapped_[chunks_[chunk].file].bytes();
    const char* begin = reinterpret_cast<const char*>(bytes.data());
    const auto number = 1 + std::count(begin, line.data(), '\n');
    throw FileError(
        is_json ? fmt::format("{}:{}: the row has no text \"{}\"", file.path.string(), number, file.field)
                : fmt::format("{}:{}: {}", file.path.string(), number, reader.complaint()));
  }
}

}  // namespace ziptie
