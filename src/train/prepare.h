#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "data/mixture.h"
#include "model/text_model.h"
#include "text/tokenizer.h"
#include "train/recipe.h"
#include "train/validation.h"

namespace corral::train {

/// Where a run reports to; out may be null.
struct RunLog {
  std::ostream* out = nullptr;
  bool terminal = false;

  void note(const std::string& line) const;
};

/// What a recipe's names and paths stand for.
struct PreparedRun {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  model::Config config;
  std::shared_ptr<const data::Mixture> mixture;
  std::vector<ValidationSet> validation;
  /// Hashes of what must stay the same when a run is resumed: "seed", "tokenizer", "model", "data",
  /// "batch".
  std::map<std::string, std::string> identity;
};

/// Loads (or learns) the tokenizer, tokenises the data, and decides the model's shape: a preset
/// gets the tokenizer's vocabulary. Keeps tokenizer and tokens in the run's folder. Throws
/// UsageError when tokenizer and model do not fit together or there is no data, and what reading
/// the files throws.
PreparedRun prepare(const Recipe& recipe, const std::filesystem::path& run_folder,
                    const DevicePtr& device, const RunLog& log);

/// A model to train: the weights of `checkpoint`, else of the recipe's init_from, else fresh ones.
model::TextModel make_model(const Recipe& recipe, const model::Config& config,
                            const std::filesystem::path& checkpoint, const DevicePtr& device);

}  // namespace corral::train
