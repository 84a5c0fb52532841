#include "engine/bench.h"

#include <iomanip>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/common.h"

namespace corral::cli {
namespace {

struct BenchCommand {
  std::string model;
  engine::BenchOptions bench;
  bool json = false;
  std::string precision = "f32";
  std::string quantize;
  MachineOptions machine;
};

nlohmann::ordered_json samples_json(const engine::Samples& samples) {
  return {{"median", samples.median()},
          {"min", samples.min()},
          {"max", samples.max()},
          {"all", samples.all}};
}

// What decoding reaches of what the memory could feed.
double bandwidth_share(const engine::BenchResult& result) {
  const double read = result.read_gb_per_s.median() * 1e9;
  return read > 0 ? static_cast<double>(result.weight_bytes_per_token) *
                        result.decode_tps.median() / read
                  : 0;
}

void print_line(std::ostream& out, const char* name, const engine::Samples& samples) {
  if (samples.all.empty()) return;
  out << std::fixed << std::setprecision(1) << std::left << std::setw(9) << name << std::right
      << std::setw(10) << samples.median() << " tokens/s  (" << samples.min() << " to "
      << samples.max() << ")\n";
}

void run_bench(const BenchCommand& options, Io& io) {
  const DevicePtr device = options.machine.device();
  const auto loaded = load_model(options.model, device, options.quantize);
  engine::BenchOptions bench = options.bench;
  bench.precision = parse_precision(options.precision);
  Progress progress(io.err, io.terminal, "measuring", static_cast<double>(bench.repetitions + 1),
                    "runs");
  const auto result = engine::bench(
      loaded.model, bench, [&](int64_t run) { progress.update(static_cast<double>(run + 1)); });
  progress.finish();
  if (options.json) {
    nlohmann::ordered_json json = {{"engine", "corral"},
                                   {"model", loaded.name},
                                   {"threads", device->threads().size()},
                                   {"cpu_isa", simd::isa_name(device->isa())},
                                   {"precision", options.precision}};
    json["prefill_tps"] = samples_json(result.prefill_tps);
    json["decode_tps"] = samples_json(result.decode_tps);
    json["weight_bytes_per_token"] = result.weight_bytes_per_token;
    json["read_gb_per_s"] = samples_json(result.read_gb_per_s);
    json["bandwidth_share"] = bandwidth_share(result);
    io.out << json.dump() << '\n';
    return;
  }
  print_line(io.out, "prefill", result.prefill_tps);
  print_line(io.out, "decode", result.decode_tps);
  io.out << "weights   " << std::setprecision(2)
         << static_cast<double>(result.weight_bytes_per_token) / 1e6 << " MB a token, memory "
         << result.read_gb_per_s.median() << " GB/s: decoding uses " << std::setprecision(1)
         << 100 * bandwidth_share(result) << " % of it\n";
}

}  // namespace

void add_bench_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<BenchCommand>();
  CLI::App* command =
      app.add_subcommand("bench", "tokens a second, and the share of the machine's limit");
  command->add_option("model", options->model, kModelHelp)->required();
  command
      ->add_option("-p,--prompt-tokens", options->bench.prompt_tokens,
                   "prompt length; 0: no prefill")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  command->add_option("-n,--generated-tokens", options->bench.generated_tokens, "0: no decoding")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  command->add_option("--depth", options->bench.depth_tokens, "tokens in the cache before decoding")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  command
      ->add_option("-r,--repetitions", options->bench.repetitions,
                   "counted runs, after one warm-up")
      ->check(CLI::Range(int64_t{1}, int64_t{1000}))
      ->capture_default_str();
  command->add_flag("--json", options->json, "one JSON object with all samples");
  add_precision(*command, options->precision);
  add_quantize(*command, options->quantize);
  options->machine.add_to(*command);
  command->footer("Example:\n  corral bench llama-scout-mini -p 512 -n 64 -t 2 --json");
  command->callback([options, &io] { run_bench(*options, io); });
}

}  // namespace corral::cli
