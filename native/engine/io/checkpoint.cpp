#include "engine/io/checkpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "engine/io/durable_file.h"
#include "engine/io/json_object.h"
#include "engine/io/write_aside.h"

namespace ziptie {
namespace {

constexpr const char* optimizer_file = "optimizer.safetensors";
constexpr const char* state_file = "state.json";

/// Type and all: what is resumed is what was saved, bit for bit.
void check_layout(const SafetensorsFile& file, std::span<const NamedTensor> tensors) {
  for (const NamedTensor& tensor : tensors) {
    const TensorInfo& saved = file.at(tensor.name);
    const auto shape = tensor.file_shape();
    if (saved.dtype == tensor.value.dtype && saved.shape == shape) continue;
    throw FileError(fmt::format("{}: tensor '{}' is {} {}, the run needs {} {}", file.path().string(),
                                tensor.name, safetensors_name(saved.dtype), shape_text(saved.shape),
                                safetensors_name(tensor.value.dtype), shape_text(shape)));
  }
}

void load_all(const SafetensorsFile& file, std::span<const NamedTensor> tensors, Backend& backend,
              const InterruptionPoint& interruption) {
  while (!tensors.empty()) {
    void* const target = tensors.front().value.data;
    const auto other =
        std::ranges::find_if(tensors, [&](const NamedTensor& tensor) { return tensor.value.data != target; });
    const auto names = tensors.first(static_cast<std::size_t>(other - tensors.begin()));
    tensors = tensors.subspan(names.size());
    if (names.front().value.dtype == DType::u8) {
      load_bytes(file, file.at(names.front().name), target, backend, interruption);
    } else {
      const auto values = read_shared_tensor(file, names, interruption);
      backend.copy_to_device(target, values.data(), values.size() * sizeof(float));
    }
  }
}

}  // namespace

OpenCheckpoint::OpenCheckpoint(const std::filesystem::path& directory, const CheckpointTensors& tensors)
    : tensors_(tensors), weights_(directory / tensors.weights_file) {
  check_layout(weights_, tensors.weights);
  if (tensors.optimizer.empty()) return;
  optimizer_.emplace(directory / optimizer_file);
  check_layout(*optimizer_, tensors.optimizer);
}

void OpenCheckpoint::load(Backend& backend, const InterruptionPoint& interruption) const {
  load_all(weights_, tensors_.weights, backend, interruption);
  if (optimizer_) load_all(*optimizer_, tensors_.optimizer, backend, interruption);
}

CheckpointStore::CheckpointStore(const std::filesystem::path& run_directory)
    : directory_(run_directory / "checkpoints") {}

void CheckpointStore::remove_unfinished() {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(".step-") && (name.ends_with(".tmp") || name.ends_with(".lock")))
      std::filesystem::remove_all(entry->path(), error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw FileError(fmt::format("{}: cannot tidy up: {}", directory_.string(), error.message()));
  }
}

std::filesystem::path CheckpointStore::path_of(std::int64_t step) const {
  return directory_ / fmt::format("step-{}", step);
}

std::vector<std::int64_t> CheckpointStore::steps() const {
  std::vector<std::int64_t> steps;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    constexpr std::string_view prefix = "step-";
    if (!name.starts_with(prefix)) continue;
    std::int64_t step = 0;
    const char* end_of_name = name.data() + name.size();
    const auto [stopped, failed] = std::from_chars(name.data() + prefix.size(), end_of_name, step);
    if (failed == std::errc{} && stopped == end_of_name) steps.push_back(step);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw FileError(fmt::format("{}: cannot read: {}", directory_.string(), error.message()));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void CheckpointStore::save(std::int64_t step, const CheckpointTensors& tensors, const nlohmann::json& state,
                           Backend& backend) {
  write_aside(path_of(step), [&](const std::filesystem::path& aside) {
    save_tensors(aside / tensors.weights_file, tensors.weights, {{"format", "pt"}}, backend);
    save_tensors(aside / optimizer_file, tensors.optimizer, {}, backend);
    for (const auto& [name, text] : tensors.companions) write_file(aside / name, text);
    write_file(aside / state_file, state.dump(2) + "\n");
  });
}

std::vector<std::string> CheckpointStore::prune(std::int64_t limit) {
  std::vector<std::string> failures;
  const auto all = steps();
  const auto surplus = static_cast<std::int64_t>(all.size()) - std::max<std::int64_t>(1, limit);
  for (std::int64_t i = 0; i < surplus; ++i) {
    try {
      remove(all[static_cast<std::size_t>(i)]);
    } catch (const FileError& error) {
      failures.emplace_back(error.what());
    }
  }
  return failures;
}

nlohmann::json CheckpointStore::read_state(std::int64_t step) const {
  return read_json(path_of(step) / state_file);
}

OpenCheckpoint CheckpointStore::open(std::int64_t step, const CheckpointTensors& tensors) const {
  return OpenCheckpoint(path_of(step), tensors);
}

void CheckpointStore::remove(std::int64_t step) {
  // Half-deleted it must not look like a checkpoint.
  const auto directory = path_of(step);
  const auto doomed = directory_ / fmt::format(".step-{}.tmp", step);
  std::error_code error;
  std::filesystem::rename(directory, doomed, error);
  if (!error) std::filesystem::remove_all(doomed, error);
  if (error) throw FileError(fmt::format("{}: cannot remove: {}", directory.string(), error.message()));
}

std::filesystem::path CheckpointStore::set_aside(std::int64_t step) {
  auto aside = directory_ / fmt::format("damaged-step-{}", step);
  for (int again = 2; std::filesystem::exists(aside); ++again) {
    aside = directory_ / fmt::format("damaged-step-{}-{}", step, again);
  }
  std::error_code error;
  std::filesystem::rename(path_of(step), aside, error);
  if (error) {
    throw FileError(
        fmt::format("{}: cannot rename to {}: {}", path_of(step).string(), aside.string(), error.message()));
  }
  return aside;
}

}  // namespace ziptie
