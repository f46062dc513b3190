#include "engine/io/adapter_merge.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "engine/io/hf_config.h"
#include "engine/io/peft_adapter.h"
#include "engine/io/tensor_transfer.h"
#include "engine/model/modules.h"

namespace ziptie {
namespace {

constexpr std::string_view weight_suffix = ".weight";
constexpr const char* embedding_weight = "model.embed_tokens.weight";
constexpr const char* head_weight = "lm_head.weight";

/// What an adapter holds for one weight.
struct Change {
  const TensorInfo* replacement = nullptr;  ///< [rows, columns]: in place of the base's
  const TensorInfo* outer = nullptr;        ///< B [rows, r]; `transposed`: [r, rows]
  const TensorInfo* inner = nullptr;        ///< A [r, columns]; `transposed`: [columns, r]
  bool transposed = false;                  ///< as PEFT holds the adapter of an embedding

  bool empty() const { return replacement == nullptr && outer == nullptr; }
};

}  // namespace

struct AdapterMerge::State {
  AdapterConfig adapter;
  LlamaConfig config;
  SafetensorsFile file;
  std::map<std::string, Change> changes;  ///< by the name of the base weight
  bool tied = false;

  State(const std::filesystem::path& directory, const LlamaConfig& base)
      : adapter(read_adapter_config(directory)), config(base), file(directory / adapter_weights_file) {}

  Change take(const WeightShape& weight, std::set<std::string>& unused) const;
  void check_targets(const std::string& module, const Change& change) const;
  std::vector<float> values(const TensorInfo& tensor) const { return read_tensor(file, tensor); }
  /// B [rows, r] and A [r, columns] of a change, whichever way the file holds them.
  std::vector<float> outer(const Change& change) const;
  std::vector<float> inner(const Change& change) const;
  bool same(const Change& a, const Change& b) const;
};

/// Finds what the file holds for `weight` and takes it out of `unused`.
Change AdapterMerge::State::take(const WeightShape& weight, std::set<std::string>& unused) const {
  const std::string module = weight.name.substr(0, weight.name.rfind('.'));
  const std::string prefix = adapter_prefix + module;
  const auto find = [&](const std::string& name, std::vector<std::int64_t> shape) -> const TensorInfo* {
    if (unused.erase(name) == 0) return nullptr;
    const TensorInfo& tensor = file.at(name);
    check_tensor(file.path(), tensor, shape);
    return &tensor;
  };
  Change change;
  change.replacement = find(adapter_prefix + weight.name, weight.shape);
  if (weight.shape.size() != 2) return change;
  const std::int64_t rows = weight.shape[0], columns = weight.shape[1];
  // PEFT saves the table below an adapted embedding or head, too.
  if (change.replacement == nullptr) change.replacement = find(prefix + ".base_layer.weight", weight.shape);
  change.outer = find(prefix + ".lora_B.weight", {rows, adapter.r});
  change.inner = find(prefix + ".lora_A.weight", {adapter.r, columns});
  if (change.outer == nullptr && change.inner == nullptr) {
    change.transposed = true;
    change.outer = find(prefix + ".lora_embedding_A", {adapter.r, rows});
    change.inner = find(prefix + ".lora_embedding_B", {columns, adapter.r});
  }
  if ((change.outer == nullptr) != (change.inner == nullptr)) {
    throw FileError(fmt::format("{}: of the adapter of '{}' there is only one matrix, A or B",
                                file.path().string(), module));
  }
  return change;
}

void AdapterMerge::State::check_targets(const std::string& module, const Change& change) const {
  const auto names = [&](const std::vector<std::string>& list, const auto& stands_for) {
    return std::ranges::any_of(list, [&](const std::string& name) { return stands_for(name, module); });
  };
  const char* missing = nullptr;
  if (names(adapter.target_modules, names_target) && change.outer == nullptr) missing = "adapter";
  if (names(adapter.modules_to_save, names_saved) && change.replacement == nullptr) missing = "saved weight";
  if (missing == nullptr) return;
  throw FileError(fmt::format("{}: there is no {} of '{}', which adapter_config.json names",
                              file.path().string(), missing, module));
}

std::vector<float> AdapterMerge::State::outer(const Change& change) const {
  const auto matrix = values(*change.outer);
  return change.transposed ? transposed(matrix, change.outer->shape[0], change.outer->shape[1]) : matrix;
}

std::vector<float> AdapterMerge::State::inner(const Change& change) const {
  const auto matrix = values(*change.inner);
  return change.transposed ? transposed(matrix, change.inner->shape[0], change.inner->shape[1]) : matrix;
}

bool AdapterMerge::State::same(const Change& a, const Change& b) const {
  if ((a.outer == nullptr) != (b.outer == nullptr)) return false;
  if (a.outer != nullptr && (outer(a) != outer(b) || inner(a) != inner(b))) return false;
  if (a.replacement != nullptr && b.replacement != nullptr)
    return values(*a.replacement) == values(*b.replacement);
  // One end's table without the other's: below an adapter it is the base's own.
  return (a.replacement == nullptr && b.replacement == nullptr) || a.outer != nullptr;
}

AdapterMerge::AdapterMerge(const std::filesystem::path& directory, const LlamaConfig& base)
    : state_(std::make_unique<State>(directory, base)) {
  State& state = *state_;
  std::set<std::string> unused;
  for (const auto& [name, tensor] : state.file.tensors()) unused.insert(name);
  auto weights = weight_shapes(base);
  if (base.tie_word_embeddings) weights.push_back({head_weight, {base.vocab_size, base.hidden_size}});
  for (const WeightShape& weight : weights) {
    const Change change = state.take(weight, unused);
    if (!change.empty()) state.changes.emplace(weight.name, change);
  }
  if (!unused.empty()) {
    throw FileError(fmt::format("{}: tensor '{}' has no place in the model with this adapter",
                                state.file.path().string(), *unused.begin()));
  }
  if (base.tie_word_embeddings) {
    auto& changes = state.changes;
    if (state.adapter.ensure_weight_tying &&
        changes.contains(embedding_weight) != changes.contains(head_weight)) {
      // What is there once stands for both ends.
      const Change both =
          changes.contains(embedding_weight) ? changes.at(embedding_weight) : changes.at(head_weight);
      changes[embedding_weight] = changes[head_weight] = both;
    }
    const auto change = [&](const char* name) {
      return changes.contains(name) ? changes.at(name) : Change{};
    };
    state.tied = state.same(change(embedding_weight), change(head_weight));
    state.config.tie_word_embeddings = state.tied;
  }
  for (const WeightShape& weight : weights) {
    if (!weight.name.ends_with(weight_suffix)) continue;
    const std::string module = weight.name.substr(0, weight.name.size() - weight_suffix.size());
    const auto found = state.changes.find(weight.name);
    state.check_targets(module, found == state.changes.end() ? Change{} : found->second);
  }
}

AdapterMerge::~AdapterMerge() = default;

bool AdapterMerge::tied() const { return state_->tied; }
LlamaConfig AdapterMerge::config() const { return state_->config; }

void AdapterMerge::apply(const std::string& name, std::vector<float>& base, Backend& backend) const {
  const auto found = state_->changes.find(name);
  if (found == state_->changes.end()) return;
  const Change& change = found->second;
  if (change.replacement != nullptr) base = state_->values(*change.replacement);
  if (change.outer == nullptr) return;

  // B A as a linear layer's forward: x = B [rows, r], weight = Aᵀ [columns, r].
  const auto outer = state_->outer(change), inner = state_->inner(change);
  const std::int64_t r = state_->adapter.r;
  const auto rows = static_cast<std::int64_t>(outer.size()) / r,
             columns = static_cast<std::int64_t>(inner.size()) / r;
  std::vector<Buffer> buffers;
  const auto on_device = [&](const std::vector<float>& values, std::int64_t height, std::int64_t width) {
    buffers.push_back(backend.allocate(static_cast<std::size_t>(height * width) * sizeof(float)));
    if (!values.empty())
      backend.copy_to_device(buffers.back().data(), values.data(), values.size() * sizeof(float));
    return Tensor{buffers.back().data(), DType::f32, 2, {height, width}};
  };
  Linear linear;
  linear.weight = on_device(transposed(inner, r, columns), columns, r);
  const Tensor product = on_device({}, rows, columns);
  backend.linear_forward(on_device(outer, rows, r), linear, {}, product, {});
  std::vector<float> delta(base.size());
  backend.copy_to_host(delta.data(), product.data, delta.size() * sizeof(float));

  const AdapterConfig& adapter = state_->adapter;
  const auto rank = static_cast<double>(r);
  const auto scale = static_cast<float>(adapter.alpha / (adapter.use_rslora ? std::sqrt(rank) : rank));
  for (std::size_t i = 0; i < base.size(); ++i) base[i] += delta[i] * scale;
}

}  // namespace ziptie
