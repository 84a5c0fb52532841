#include "cli/generation_options.h"

#include <chrono>

namespace corral::cli {

void GenerationOptions::add_to(CLI::App& command) {
  engine::SamplingOptions& sampling = options_.sampling;
  command.add_option("-n,--max-tokens", options_.max_tokens, "most tokens of an answer")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31))
      ->capture_default_str();
  command
      .add_option("--temp", sampling.temperature, "temperature; 0 always takes the likeliest token")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command.add_option("--top-k", sampling.top_k, "choose among the k likeliest; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--top-p", sampling.top_p, "choose among those that make up this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--min-p", sampling.min_p,
                  "drop tokens less likely than this times the likeliest")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--repetition-penalty", sampling.repetition_penalty,
                  "divide the logits of recent tokens by this")
      ->check(CLI::Range(0.01, 100.0))
      ->capture_default_str();
  command.add_option("--seed", seed_,
                     "the same seed gives the same text (default: from the clock)");
  command.add_option("--stop", options_.stop, "text that ends the answer; may be given again");
  command.add_option("--system", system, "system prompt of a chat");
  add_precision(command, precision_);
  kv_types_.add_to(command);
}

engine::GenerateOptions GenerationOptions::generate() const {
  engine::GenerateOptions options = options_;
  options.sampling.seed = seed_.value_or(
      static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()));
  return options;
}

quant::Precision GenerationOptions::precision() const { return parse_precision(precision_); }

}  // namespace corral::cli
