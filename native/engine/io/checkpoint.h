#pragma once
// `checkpoints/step-N/` of a run directory: weights, optimizer state and where the run stood.

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/io/tensor_transfer.h"

namespace ziptie {

/// The tensors that a checkpoint holds, on the device.
struct CheckpointTensors {
  std::string weights_file;  ///< `model.safetensors` or `adapter_model.safetensors`
  /// Names of one tensor, which a tied adapter has two of, follow one another.
  std::vector<NamedTensor> weights;
  std::vector<NamedTensor> optimizer;  ///< none: not asked for when a checkpoint is read
  /// Written beside, never read again: what others need to make something of the weights. Text by file name.
  std::map<std::string, std::string> companions = {};
};

/// A checkpoint whose files are open: whoever deletes it meanwhile, it is read whole.
class OpenCheckpoint {
 public:
  /// Checks what the files' headers say. @throws FileError naming file and tensor
  OpenCheckpoint(const std::filesystem::path& directory, const CheckpointTensors& tensors);

  /// Reads the tensors back. @throws FileError naming file and tensor; what `interruption` throws
  void load(Backend& backend, const InterruptionPoint& interruption = {}) const;

 private:
  const CheckpointTensors& tensors_;
  SafetensorsFile weights_;
  std::optional<SafetensorsFile> optimizer_;
};

class CheckpointStore {
 public:
  explicit CheckpointStore(const std::filesystem::path& run_directory);

  /// Removes what a killed engine left half-written; for the one engine that holds the run. @throws FileError
  void remove_unfinished();

  std::filesystem::path path_of(std::int64_t step) const;
  /// Steps of the checkpoints that have their final name, ascending.
  std::vector<std::int64_t> steps() const;

  /// Writes the checkpoint aside, syncs it and gives it its name.
  /// @throws FileError, e.g. on a full disk; what stood before stands still and nothing half-written is left
  void save(std::int64_t step, const CheckpointTensors& tensors, const nlohmann::json& state,
            Backend& backend);
  /// Deletes the oldest until `limit`, at least 1, are left; says of each that cannot be deleted why.
  std::vector<std::string> prune(std::int64_t limit);

  /// What was saved as `state`. @throws FileError
  nlohmann::json read_state(std::int64_t step) const;
  /// `tensors` must outlive what is returned. @throws FileError naming file and tensor
  OpenCheckpoint open(std::int64_t step, const CheckpointTensors& tensors) const;

  /// Gives a checkpoint that cannot be read a name that `steps` knows nothing of, `damaged-step-N`, and
  /// returns its path: it is for people to judge, and nothing of it is lost. @throws FileError
  std::filesystem::path set_aside(std::int64_t step);

 private:
  void remove(std::int64_t step);

  std::filesystem::path directory_;
};

}  // namespace ziptie
