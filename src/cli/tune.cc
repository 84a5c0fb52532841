#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/cpu_topology.h"
#include "base/error.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/tuned_settings.h"
#include "engine/bench.h"

namespace corral::cli {
namespace {

struct TuneCommand {
  std::string model;
  std::vector<int> tried;  // numbers of threads; empty: those that could be best
  int64_t prompt_tokens = 256;
  int64_t generated_tokens = 32;
  int64_t rounds = 3;
  bool forget = false;
};

/// One number of threads, with the model on a device of so many, mapped or in memory.
struct Candidate {
  TunedSettings settings;
  model::LoadedModel loaded;
  engine::Samples prefill_tps = {};
  engine::Samples decode_tps = {};

  /// Prompts and answers count the same.
  double speed() const { return std::sqrt(prefill_tps.median() * decode_tps.median()); }
};

// One, half of the cores, all but one (for whatever else runs), all, and all hardware threads.
std::vector<int> likely_numbers() {
  const int cores = default_threads();
  const int all = static_cast<int>(allowed_cpus().size());
  std::set<int> numbers;
  for (const int number : {1, cores / 2, cores - 1, cores, all}) {
    if (number >= 1) numbers.insert(number);
  }
  return {numbers.begin(), numbers.end()};
}

Candidate load_candidate(const TuneCommand& options, int threads) {
  const NodeBinding binding(read_cpu_topology("/", allowed_cpus()), threads);
  CpuOptions cpu;
  cpu.threads = threads;
  return {{threads},
          load_model(options.model, Device::cpu(cpu), {.quantize = {}, .no_mmap = false})};
}

// In turns, so that what else the machine does meanwhile falls on all of them.
void measure(std::vector<Candidate>& candidates, const TuneCommand& options, Io& io) {
  for (Candidate& candidate : candidates) {
    candidate.prefill_tps.all.clear();
    candidate.decode_tps.all.clear();
  }
  engine::BenchOptions bench;
  bench.prompt_tokens = options.prompt_tokens;
  bench.generated_tokens = options.generated_tokens;
  bench.repetitions = 1;
  const auto runs = static_cast<double>(options.rounds) * static_cast<double>(candidates.size());
  Progress progress(io.err, io.terminal, "measuring", runs, "runs");
  double done = 0;
  for (int64_t round = 0; round < options.rounds; ++round) {
    for (Candidate& candidate : candidates) {
      const engine::BenchResult result = engine::bench(candidate.loaded.model, bench);
      candidate.prefill_tps.all.push_back(result.prefill_tps.median());
      candidate.decode_tps.all.push_back(result.decode_tps.median());
      progress.update(++done);
    }
  }
  progress.finish();
}

// The fastest; of those that are as fast but for noise, the one that takes least: the fewest
// threads and no memory of its own.
const Candidate& best_of(const std::vector<Candidate>& candidates) {
  constexpr double kNoise = 0.02;
  double most = 0;
  for (const Candidate& candidate : candidates) most = std::max(most, candidate.speed());
  return *std::min_element(candidates.begin(), candidates.end(),
                           [&](const Candidate& a, const Candidate& b) {
                             const bool a_fast = a.speed() >= (1 - kNoise) * most;
                             const bool b_fast = b.speed() >= (1 - kNoise) * most;
                             if (a_fast != b_fast) return a_fast;
                             if (a.settings.threads != b.settings.threads) {
                               return a.settings.threads < b.settings.threads;
                             }
                             return a.settings.no_mmap < b.settings.no_mmap;
                           });
}

void print(const std::vector<Candidate>& candidates, const Candidate* best, Io& io) {
  for (const Candidate& candidate : candidates) {
    const int threads = candidate.settings.threads;
    io.out << str(threads, threads == 1 ? " thread" : " threads",
                  candidate.settings.no_mmap ? ", in memory: " : ": ",
                  std::llround(candidate.prefill_tps.median()), " tokens/s of a prompt, ",
                  std::llround(candidate.decode_tps.median()), " of an answer",
                  &candidate == best ? "  <- taken from now on" : "", "\n");
  }
}

/// The candidate beside the same with its weights in memory, if there is room for them.
void add_resident(std::vector<Candidate>& candidates, const TuneCommand& options, Io& io) {
  Candidate resident = load_candidate(options, candidates.front().settings.threads);
  resident.settings.no_mmap = true;
  try {
    make_resident(resident.loaded, &io);
    candidates.push_back(std::move(resident));
  } catch (const Error& error) {
    io.err << str("--no-mmap is not tried: ", error.what(), "\n");
  }
}

// First the number of threads, then whether weights that are not mapped are faster.
void run_tune(const TuneCommand& options, Io& io) {
  if (options.forget) return forget_tuned_settings(options.model);
  std::vector<Candidate> candidates;
  for (const int threads : options.tried.empty() ? likely_numbers() : options.tried) {
    candidates.push_back(load_candidate(options, threads));
  }
  measure(candidates, options, io);
  const Candidate& fastest = best_of(candidates);
  print(candidates, nullptr, io);
  std::vector<Candidate> forms = {fastest};
  candidates.clear();
  add_resident(forms, options, io);
  if (forms.size() > 1) measure(forms, options, io);
  const Candidate& best = best_of(forms);
  print(forms, &best, io);
  remember_tuned_settings(options.model, best.settings);
}

}  // namespace

void add_tune_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<TuneCommand>();
  CLI::App* command = app.add_subcommand(
      "tune",
      "find out what is fastest: how many threads, mapped weights or weights in memory; and take "
      "that from now on");
  command->add_option("model", options->model, kModelHelp)->required();
  command->add_option("--try", options->tried, "numbers of threads, such as 4,8,16")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  command->add_option("-p,--prompt-tokens", options->prompt_tokens, "prompt length")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("-n,--generated-tokens", options->generated_tokens, "answer length")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("-r,--rounds", options->rounds, "measurements of each")
      ->check(CLI::Range(int64_t{1}, int64_t{1000}))
      ->capture_default_str();
  command->add_flag("--forget", options->forget, "go back to the default");
  command->footer(
      "The findings are remembered for this file on this machine and used by run, chat, serve, "
      "bench\n"
      "and perplexity wherever --threads, --no-mmap or --mmap is not given.\n\n"
      "Examples:\n"
      "  corral tune model.gguf\n"
      "  corral tune model.gguf --try 8,12,16,24 -r 5");
  command->callback([options, &io] { run_tune(*options, io); });
}

}  // namespace corral::cli
