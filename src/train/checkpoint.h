#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/packing.h"
#include "model/text_model.h"
#include "text/tokenizer.h"
#include "train/adamw.h"

namespace corral::train {

/// What a run remembers besides its tensors. Random numbers are functions of seed and position, so
/// there is no generator to save.
struct TrainState {
  int64_t step = 0;  // completed
  int64_t rows = 0;  // tokens seen
  data::DataCursor cursor;
  int64_t metrics_bytes = 0;
  std::vector<std::vector<int64_t>> idle_steps;  // ExpertBalance
  /// Hashes of what must not change in the middle of a run, by what they cover ("data", "model").
  std::map<std::string, std::string> identity;
};

/// The checkpoints of a run: folders step-NNNNNN with the model in Hugging Face form (f32, with its
/// tokenizer), optimizer.safetensors and trainer_state.json (docs/formats/checkpoint.md).
class CheckpointFolder {
 public:
  /// Makes the folder if it is missing. Throws IoError.
  explicit CheckpointFolder(std::filesystem::path folder);

  /// The newest complete checkpoint.
  std::optional<std::filesystem::path> latest() const;

  /// Writes a checkpoint as step-NNNNNN.partial, renames it when all of it is on the disk, points
  /// `latest` to it and removes all but the newest `keep`. Throws IoError; then the other
  /// checkpoints are as they were and nothing is left of this one.
  std::filesystem::path save(const model::TextModel& model, const text::Tokenizer& tokenizer,
                             const Adamw& optimizer, const TrainState& state, int64_t keep);

  /// Moves everything of an earlier run into a folder `previous-N`, so that a new one can begin.
  /// Returns its path; empty when there was nothing.
  std::filesystem::path set_aside() const;

  const std::filesystem::path& path() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

/// Reads trainer_state.json of a checkpoint. Throws IoError, CorruptFile.
TrainState read_state(const std::filesystem::path& checkpoint);

/// Puts the moments of a checkpoint into the optimizer. Throws IoError, CorruptFile when a tensor
/// is missing or of another shape.
void load_optimizer(const std::filesystem::path& checkpoint, int64_t step, Adamw& optimizer);

}  // namespace corral::train
