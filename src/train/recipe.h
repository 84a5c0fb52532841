#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "quant/linear_weight.h"
#include "train/adamw.h"
#include "train/schedule.h"

namespace corral::train {

/// Files that are read as one corpus, and how much of it.
struct DataRecipe {
  std::string name;
  std::vector<std::string> files;  // a `*` in the last part of a path stands for anything
  double repeat = 1;               // times an epoch
  double weight = 0;               // or share of the tokens; all sources or none
  data::Supervise supervise = data::Supervise::kEverything;
};

/// The shape to start from; exactly one of the three.
struct ModelRecipe {
  std::string preset;     // freshly initialised
  std::string config;     // the same, from a config.json
  std::string init_from;  // weights and shape of a Hugging Face folder
};

/// Where the vocabulary comes from; one of the two.
struct TokenizerRecipe {
  std::string path;
  int64_t vocab_size = 0;  // learned from the training data and kept beside the run
};

struct BatchRecipe {
  int64_t tokens = 16384;             // a step
  int64_t micro_batch_tokens = 8192;  // at a time
  int64_t sequence_tokens = 512;      // the most that one segment has
  bool restart_positions = true;
};

struct OptimizerRecipe {
  double learning_rate = 3e-3;
  AdamwOptions adamw;
  double clip_norm = 1;  // 0: no clipping
  double z_loss = 0;
  // Factors on the learning rate of some parameters.
  double embedding_rate = 1;
  double readout_rate = 1;
  double router_rate = 1;
  double norm_rate = 1;
};

struct CheckpointRecipe {
  int64_t every_steps = 0;    // 0: by time alone
  double every_minutes = 10;  // 0: by steps alone
  int64_t keep = 2;
};

struct ValidationRecipe {
  int64_t every_steps = 250;  // 0: never
  int64_t tokens = 65536;     // at most, of each source
  std::vector<DataRecipe> data;
};

/// One training run as a TOML file says it (docs/formats/recipe.md).
struct Recipe {
  std::string name;
  std::string objective = "pretrain";
  uint64_t seed = 1;
  int64_t steps = 1000;
  quant::Precision precision = quant::Precision::kBF16;
  bool recompute = false;
  std::string data_root;  // where relative data paths begin; empty: the recipe's folder
  ModelRecipe model;
  TokenizerRecipe tokenizer;
  std::vector<DataRecipe> data;
  BatchRecipe batch;
  OptimizerRecipe optimizer;
  ScheduleOptions schedule;
  double balance_coefficient = 1e-3;
  int64_t experts_every = 10;  // steps between two reports of the load of every expert
  CheckpointRecipe checkpoint;
  ValidationRecipe validation;

  /// The folder of the recipe file: other relative paths begin here. Not part of the file.
  std::filesystem::path folder;
};

/// Parses and checks a recipe. `what` is the file's name for messages. Throws UsageError naming
/// file and line: bad TOML, an unknown key (with the nearest known one), a value of the wrong type
/// or out of range, keys that contradict each other.
Recipe parse_recipe(const std::string& text, const std::string& what);

/// Reads a recipe file. Throws IoError and what parse_recipe throws.
Recipe read_recipe(const std::filesystem::path& path);

/// The recipe with every key written out, as parse_recipe reads it.
std::string to_toml(const Recipe& recipe);

/// A path of the recipe as it is to be opened: absolute ones as they are, data below the data root,
/// others below the recipe's folder.
std::filesystem::path data_path(const Recipe& recipe, const std::string& path);
std::filesystem::path recipe_path(const Recipe& recipe, const std::string& path);

/// The files of a source, patterns filled in, in alphabetical order. Throws UsageError for a
/// pattern that matches nothing.
std::vector<std::filesystem::path> data_files(const Recipe& recipe, const DataRecipe& source);

}  // namespace corral::train
