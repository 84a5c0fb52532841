#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/temp_dir.h"
#include "train/trainer.h"

namespace corral::train {

/// A corpus of short made-up sentences and conversations, and a recipe that trains a model of the
/// tiny preset on it in some milliseconds a step.
class TinyRun {
 public:
  TinyRun() {
    std::ofstream text(dir_.path() / "text.jsonl");
    std::ofstream chat(dir_.path() / "chat.jsonl");
    const std::vector<std::string> who = {"cat", "dog", "bird", "fox", "bear"};
    const std::vector<std::string> what = {"runs", "sleeps", "sings", "jumps"};
    for (size_t i = 0; i < 60; ++i) {
      const std::string& a = who[i % who.size()];
      const std::string& b = what[i * 7 % what.size()];
      text << "{\"text\": \"The " << a << " " << b << ". Then the " << a << " is tired and the day "
           << i << " ends.\"}\n";
      chat << "{\"messages\": [{\"role\": \"user\", \"content\": \"What does the " << a
           << " do?\"}, {\"role\": \"assistant\", \"content\": \"It " << b << ".\"}]}\n";
    }
  }

  Recipe recipe(const std::string& more = "") const {
    std::ofstream(dir_.path() / "recipe.toml")
        << "steps = 40\nseed = 3\nprecision = \"bf16\"\n[model]\npreset = \"tiny\"\n"
           "[tokenizer]\nvocab_size = 320\n"
           "[[data]]\npath = \"text.jsonl\"\nrepeat = 1.5\n[[data]]\npath = \"chat.jsonl\"\n"
           "[batch]\ntokens = 192\nmicro_batch_tokens = 80\nsequence_tokens = 48\n"
           "[schedule]\nwarmup_steps = 5\n[balance]\nexperts_every = 4\n"
           "[validation]\nevery_steps = 8\ntokens = 200\n"
           "[[validation.data]]\nname = \"text\"\npath = \"text.jsonl\"\n"
        << more;
    return read_recipe(dir_.path() / "recipe.toml");
  }

  TrainerOptions options(const std::string& out, int threads = 1) const {
    TrainerOptions options;
    options.out = dir_.path() / out;
    options.device = Device::cpu({.threads = threads});
    return options;
  }

  const std::filesystem::path& path() const { return dir_.path(); }

 private:
  test::TempDir dir_;
};

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// The whole lines of a run's metrics.jsonl without what depends on the clock; a run that still
/// writes may have put only a part of the last one there.
inline std::vector<std::string> metrics_of(const std::filesystem::path& run) {
  std::ifstream in(run / "metrics.jsonl");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line) && !in.eof();) {
    Json json = parse_json(line, "metrics.jsonl");
    json.erase("speed");
    lines.push_back(json.dump());
  }
  return lines;
}

}  // namespace corral::train
