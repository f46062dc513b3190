#include "engine/data/token_dataset.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

namespace ziptie {
namespace {

/// The tensor `name` of a shard, which must be one-dimensional. @throws FileError
const TensorInfo& vector_of(const SafetensorsFile& file, const char* name, DType dtype) {
  const TensorInfo& tensor = file.at(name);
  if (tensor.dtype != dtype || tensor.shape.size() != 1) {
    throw FileError(fmt::format("{}: tensor '{}' is {} {}, token shards hold {} of one dimension",
                                file.path().string(), name, safetensors_name(tensor.dtype),
                                shape_text(tensor.shape), safetensors_name(dtype)));
  }
  return tensor;
}

/// The elements of a vector in a file. Whoever asks for them in order has each read once.
template <class T>
class Elements {
 public:
  Elements(const SafetensorsFile& file, const char* name, DType dtype)
      : file_(file), tensor_(vector_of(file, name, dtype)) {}

  std::uint64_t size() const { return static_cast<std::uint64_t>(tensor_.shape[0]); }
  T operator[](std::uint64_t index) { return run(index, index + 1)[0]; }
  /// Elements from `begin` on, as many of those before `end` as are at hand; at least one, if there is one.
  std::span<const T> run(std::uint64_t begin, std::uint64_t end) {
    if (begin < window_begin_ || begin >= window_begin_ + window_.size()) {
      window_.resize(std::min<std::uint64_t>(window_size, size() - begin));
      window_begin_ = begin;
      file_.read(tensor_, begin * sizeof(T), std::as_writable_bytes(std::span(window_)));
    }
    return std::span(window_)
        .subspan(begin - window_begin_)
        .first(std::min<std::uint64_t>(end, window_begin_ + window_.size()) - begin);
  }

 private:
  static constexpr std::uint64_t window_size = 1 << 16;

  const SafetensorsFile& file_;
  const TensorInfo& tensor_;
  std::vector<T> window_;
  std::uint64_t window_begin_ = 0;
};

/// Offsets of `parts` into `whole` things, as in [0, 3, 7] for 7 things in two parts.
class Offsets {
 public:
  /// @throws FileError unless they begin with 0 and end at `whole`
  Offsets(const SafetensorsFile& file, const char* name, std::uint64_t whole, const char* things)
      : file_(file), name_(name), things_(things), whole_(whole), values_(file, name, DType::u64) {
    if (values_.size() < 1 || values_[0] != 0)
      throw FileError(fmt::format("{}: {} do not begin with 0", file.path().string(), name));
    if (const auto end = values_[parts()]; end != whole) {
      throw FileError(
          fmt::format("{}: {} end at {}, there are {} {}", file.path().string(), name, end, whole, things));
    }
  }

  std::uint64_t parts() const { return values_.size() - 1; }
  struct Range {
    std::uint64_t begin, end;
  };
  /// @throws FileError calling the part `what` when it ends before it begins or beyond the whole
  Range at(std::uint64_t part, const char* what) {
    const std::uint64_t begin = values_[part], end = values_[part + 1];
    if (end < begin || end > whole_) {
      throw FileError(fmt::format("{}: {} {}: {} [{}, {}) do not ascend within {} {}", file_.path().string(),
                                  what, part, name_, begin, end, whole_, things_));
    }
    return {begin, end};
  }

 private:
  const SafetensorsFile& file_;
  const char* name_;
  const char* things_;
  std::uint64_t whole_;
  Elements<std::uint64_t> values_;
};

}  // namespace

RowCounts& RowCounts::operator+=(const RowCounts& other) {
  used += other.used;
  cut += other.cut;
  too_long += other.too_long;
  unsupervised += other.unsupervised;
  broken += other.broken;
  template_refused += other.template_refused;
  tokenizer_refused += other.tokenizer_refused;
  packs += other.packs;
  return *this;
}

std::int64_t TokenBatch::supervised_tokens() const {
  return std::count(loss_mask.begin(), loss_mask.end(), std::uint8_t{1});
}

/// Looks at every token of one shard and adds its rows to a data set.
class TokenDataset::ShardReader {
 public:
  ShardReader(TokenDataset& dataset, std::size_t shard, const RowSettings& settings)
      : dataset_(dataset),
        shard_(static_cast<std::uint32_t>(shard)),
        settings_(settings),
        file_(dataset.shards_[shard]),
        ids_(file_, "input_ids", DType::u32),
        mask_(file_, "loss_mask", DType::u8) {}

  void read(const InterruptionPoint& interruption) {
    if (mask_.size() != ids_.size()) {
      throw refuse(fmt::format("loss_mask has {} elements, input_ids {}", mask_.size(), ids_.size()));
    }
    Offsets rows(file_, "row_offsets", ids_.size(), "tokens");
    std::optional<Offsets> packs;
    if (settings_.packing) packs.emplace(file_, "pack_offsets", rows.parts(), "rows");

    std::uint64_t tokens = 0;
    const auto add_rows = [&](Offsets::Range range) {
      for (std::uint64_t row = range.begin; row < range.end; ++row) {
        const auto [begin, end] = rows.at(row, "row");
        check_ids(row, begin, end);
        add_row(begin, end, first_loss(row, begin, end));
        // Looking at so many takes a fraction of a second.
        constexpr std::uint64_t piece = 1 << 24;
        if (tokens / piece != (tokens + end - begin) / piece) pass(interruption);
        tokens += end - begin;
      }
    };
    if (!packs) add_rows({0, rows.parts()});
    for (std::uint64_t pack = 0; packs && pack < packs->parts(); ++pack) {
      const std::size_t first = dataset_.rows_.size();
      add_rows(packs->at(pack, "pack"));
      end_pack(pack, first);
    }
  }

 private:
  FileError refuse(const std::string& what) const {
    return FileError(fmt::format("{}: {}", file_.path().string(), what));
  }

  void check_ids(std::uint64_t row, std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t at = begin; at < end;) {
      for (const std::uint32_t id : ids_.run(at, end)) {
        if (id >= settings_.vocab_size) {
          throw refuse(fmt::format(
              "row {}, token {}: input_ids is {}, which is not in the model's vocabulary of {}; the "
              "tokenizer belongs to another model",
              row, at - begin, id, settings_.vocab_size));
        }
        ++at;
      }
    }
  }

  /// The first token of a row that carries loss, or its end. The mask of a row's own first token does not
  /// count: nothing predicts it.
  std::uint64_t first_loss(std::uint64_t row, std::uint64_t begin, std::uint64_t end) {
    std::uint64_t first = end;
    for (std::uint64_t at = begin; at < end;) {
      for (const std::uint8_t carries : mask_.run(at, end)) {
        if (carries > 1) {
          throw refuse(
              fmt::format("row {}, token {}: loss_mask is {}, neither 0 nor 1", row, at - begin, carries));
        }
        if (carries == 1 && at > begin) first = std::min(first, at);
        ++at;
      }
    }
    return first;
  }

  void add_row(std::uint64_t begin, std::uint64_t end, std::uint64_t first_loss) {
    RowCounts& counts = dataset_.counts_;
    const std::uint64_t length = std::min(end - begin, static_cast<std::uint64_t>(settings_.max_length));
    if (length < end - begin && settings_.truncation == Truncation::drop) {
      counts.too_long += 1;
      return;
    }
    if (first_loss >= begin + length) {
      counts.unsupervised += 1;
      return;
    }
    counts.used += 1;
    if (length < end - begin) counts.cut += 1;
    dataset_.longest_ = std::max(dataset_.longest_, static_cast<std::int64_t>(length));
    dataset_.rows_.push_back({shard_, static_cast<std::uint32_t>(length), begin});
  }

  /// Rows from `first` on are those of a pack; one that has lost all its rows is none.
  void end_pack(std::uint64_t pack, std::size_t first) {
    const auto& rows = dataset_.rows_;
    std::int64_t tokens = 0;
    for (std::size_t row = first; row < rows.size(); ++row) tokens += rows[row].length;
    if (tokens > settings_.max_length) {
      throw refuse(
          fmt::format("pack {} has {} tokens, max_length is {}", pack, tokens, settings_.max_length));
    }
    if (rows.size() == first) return;
    dataset_.pack_ends_.push_back(rows.size());
    dataset_.counts_.packs += 1;
  }

  TokenDataset& dataset_;
  std::uint32_t shard_;
  const RowSettings& settings_;
  const SafetensorsFile& file_;
  Elements<std::uint32_t> ids_;
  Elements<std::uint8_t> mask_;
};

TokenDataset::TokenDataset(std::span<const std::filesystem::path> shards, const RowSettings& settings,
                           const InterruptionPoint& interruption) {
  shards_.reserve(shards.size());
  for (const auto& path : shards) {
    shards_.emplace_back(path);
    ShardReader(*this, shards_.size() - 1, settings).read(interruption);
  }
  if (rows_.empty()) {
    throw FileError(fmt::format(
        "{}: none of the {} rows of this data set has a token that carries loss (loss_mask 1){}",
        shards.empty() ? "" : shards.front().string(), counts_.too_long + counts_.unsupervised,
        counts_.too_long > 0
            ? fmt::format("; {} are longer than max_length, {}", counts_.too_long, settings.max_length)
            : fmt::format(" within max_length, {}", settings.max_length)));
  }
}

std::int64_t TokenDataset::units() const {
  return static_cast<std::int64_t>(pack_ends_.empty() ? rows_.size() : pack_ends_.size());
}

std::pair<std::size_t, std::size_t> TokenDataset::rows_of(std::int64_t unit) const {
  const auto at = static_cast<std::size_t>(unit);
  if (pack_ends_.empty()) return {at, at + 1};
  return {at == 0 ? 0 : pack_ends_[at - 1], pack_ends_.at(at)};
}

std::int64_t TokenDataset::unit_tokens(std::int64_t unit) const {
  const auto [begin, end] = rows_of(unit);
  std::int64_t tokens = 0;
  for (std::size_t row = begin; row < end; ++row) tokens += rows_[row].length;
  return tokens;
}

void TokenDataset::append_unit(std::int64_t unit, TokenBatch& batch) const {
  const auto [begin, end] = rows_of(unit);
  for (std::size_t row = begin; row < end; ++row) append_row(rows_.at(row), batch);
}

void TokenDataset::append_row(const Row& row, TokenBatch& batch) const {
  const SafetensorsFile& file = shards_[row.shard];
  const std::size_t at = batch.input_ids.size();
  if (at + row.length > UINT32_MAX)
    throw FileError(
        fmt::format("{}: a batch of its rows has more tokens than can be counted; use a smaller batch size",
                    file.path().string()));
  batch.input_ids.resize(at + row.length);
  batch.loss_mask.resize(at + row.length);
  file.read(file.at("input_ids"), row.begin * sizeof(std::uint32_t),
            std::as_writable_bytes(std::span(batch.input_ids).subspan(at)));
  file.read(file.at("loss_mask"), row.begin, std::as_writable_bytes(std::span(batch.loss_mask).subspan(at)));
  batch.loss_mask[at] = 0;
  batch.sequence_offsets.push_back(static_cast<std::uint32_t>(batch.input_ids.size()));
}

}  // namespace ziptie
