#include "tokenizer/corpus.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

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

/// Gives what lies from `begin` to `end` to `look` in pieces, with their place, until it says that it has
/// seen enough.
void look_through(const InputFile& file, std::uint64_t begin, std::uint64_t end,
                  const std::function<bool(std::uint64_t at, std::string_view piece)>& look) {
  std::string piece;
  for (std::uint64_t at = begin; at < end; at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(1 << 16, end - at));
    file.read(at, std::as_writable_bytes(std::span(piece)));
    if (look(at, piece)) return;
  }
}

/// The first line break of `file` from `begin` on, or its end.
std::uint64_t find_line_break(const InputFile& file, std::uint64_t begin) {
  std::uint64_t line_break = file.size();
  look_through(file, begin, file.size(), [&](std::uint64_t at, std::string_view piece) {
    const std::size_t found = piece.find('\n');
    if (found != std::string_view::npos) line_break = at + found;
    return found != std::string_view::npos;
  });
  return line_break;
}

bool begins_with_byte_order_mark(const InputFile& file) {
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  if (file.size() < mark.size()) return false;
  std::string begin(mark.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(begin)));
  return begin == mark;
}

}  // namespace

Corpus::Corpus(const std::vector<CorpusFile>& files) : files_(files) {
  opened_.reserve(files.size());
  for (std::size_t index = 0; index < files.size(); ++index) {
    const InputFile& file = opened_.emplace_back(files[index].path);
    std::uint64_t begin = begins_with_byte_order_mark(file) ? 3 : 0;
    bytes_ += file.size() - begin;
    while (begin < file.size()) {
      std::uint64_t end = std::min(begin + chunk_size, file.size());
      if (end < file.size()) end = std::min(find_line_break(file, end - 1) + 1, file.size());
      chunks_.push_back({index, begin, end - begin});
      begin = end;
    }
  }
}

FileError Corpus::refuse(const Chunk& chunk, std::uint64_t at, const std::string& what) const {
  const InputFile& file = opened_[chunk.file];
  std::int64_t line = 1;
  look_through(file, 0, at, [&](std::uint64_t, std::string_view piece) {
    line += std::count(piece.begin(), piece.end(), '\n');
    return false;
  });
  return FileError(fmt::format("{}:{}: {}", file.path().string(), line, what));
}

void Corpus::read(std::size_t index, const std::function<void(std::string_view)>& take) const {
  const Chunk& chunk = chunks_[index];
  const CorpusFile& file = files_[chunk.file];
  std::string text(chunk.size, '\0');
  opened_[chunk.file].read(chunk.begin, std::as_writable_bytes(std::span(text)));
  for (std::string_view rest = text; !rest.empty();) {
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
    if (!is_json || !reader.found()) {
      throw refuse(chunk, chunk.begin + static_cast<std::uint64_t>(line.data() - text.data()),
                   is_json ? fmt::format("the row has no text \"{}\"", file.field) : reader.complaint());
    }
    if (!reader.text().empty()) take(reader.text());
  }
}

}  // namespace ziptie
