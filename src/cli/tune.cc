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
#include "cli/tuned_threads.h"
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

/// One number of threads, with the model on a device of so many.
struct Candidate {
  int threads;
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

std::vector<Candidate> load_candidates(const TuneCommand& options) {
  std::vector<Candidate> candidates;
  for (const int threads : options.tried.empty() ? likely_numbers() : options.tried) {
    const NodeBinding binding(read_cpu_topology("/", allowed_cpus()));
    CpuOptions cpu;
    cpu.threads = threads;
    candidates.push_back({threads, load_model(options.model, Device::cpu(cpu))});
  }
  return candidates;
}

// In turns, so that what else the machine does meanwhile falls on all of them.
void measure(std::vector<Candidate>& candidates, const TuneCommand& options, Io& io) {
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

// The fastest; of those that are as fast but for noise, the one with the fewest threads.
const Candidate& best_of(const std::vector<Candidate>& candidates) {
  constexpr double kNoise = 0.02;
  double most = 0;
  for (const Candidate& candidate : candidates) most = std::max(most, candidate.speed());
  return *std::min_element(candidates.begin(), candidates.end(),
                           [&](const Candidate& a, const Candidate& b) {
                             const bool a_fast = a.speed() >= (1 - kNoise) * most;
                             const bool b_fast = b.speed() >= (1 - kNoise) * most;
                             return a_fast != b_fast ? a_fast : a.threads < b.threads;
                           });
}

void run_tune(const TuneCommand& options, Io& io) {
  if (options.forget) return forget_tuned_threads(options.model);
  std::vector<Candidate> candidates = load_candidates(options);
  measure(candidates, options, io);
  const Candidate& best = best_of(candidates);
  for (const Candidate& candidate : candidates) {
    io.out << str(candidate.threads, candidate.threads == 1 ? " thread: " : " threads: ",
                  std::llround(candidate.prefill_tps.median()), " tokens/s of a prompt, ",
                  std::llround(candidate.decode_tps.median()), " of an answer",
                  &candidate == &best ? "  <- taken from now on" : "", "\n");
  }
  remember_tuned_threads(options.model, best.threads);
}

}  // namespace

void add_tune_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<TuneCommand>();
  CLI::App* command = app.add_subcommand(
      "tune", "find out how many threads are fastest, and take them from now on");
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
      "The number is remembered for this file on this machine and used by run, chat, serve, bench\n"
      "and perplexity wherever --threads is not given.\n\n"
      "Examples:\n"
      "  corral tune model.gguf\n"
      "  corral tune model.gguf --try 8,12,16,24 -r 5");
  command->callback([options, &io] { run_tune(*options, io); });
}

}  // namespace corral::cli
