#include "engine/bench.h"

#include <algorithm>
#include <iomanip>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/speculation_options.h"
#include "model/weights.h"

namespace corral::cli {
namespace {

struct BenchCommand {
  std::string model;
  engine::BenchOptions bench;
  bool json = false;
  std::string precision = "f32";
  LoadOptions load;
  std::string text;  // path
  KvTypeOptions kv_types;
  SpeculationOptions speculation{false};
  MachineOptions machine;
};

nlohmann::ordered_json samples_json(const engine::Samples& samples) {
  return {{"median", samples.median()},
          {"min", samples.min()},
          {"max", samples.max()},
          {"deviation", samples.deviation()},
          {"all", samples.all}};
}

/// What does not change from row to row of the table.
struct Subject {
  std::string name;
  int64_t bytes = 0;
  int64_t parameters = 0;
  std::string kv;
};

Subject subject_of(const model::LoadedModel& loaded, kv::KvTypes types) {
  Subject subject{.name = loaded.name,
                  .bytes = 0,
                  .parameters = model::count_parameters(loaded.model.config()).total,
                  .kv = std::string(dtype_name(types.k))};
  if (types.v != types.k) subject.kv += str(",", types.v);
  for (const auto& tensor : loaded.source->tensors()) {
    subject.bytes += std::max<int64_t>(tensor.size_bytes, 0);
  }
  return subject;
}

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

/// Characters of UTF-8 text.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Columns as wide as they need to be, the first to the left.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  void print(std::ostream& out) const {
    std::vector<size_t> widths(rows_.front().size(), 0);
    for (const auto& row : rows_) {
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
    }
    for (size_t r = 0; r < rows_.size(); ++r) {
      for (size_t i = 0; i < widths.size(); ++i) {
        const std::string& cell = rows_[r][i];
        const std::string space(widths[i] - width_of(cell), ' ');
        out << "| " << (i == 0 ? cell + space : space + cell) << ' ';
      }
      out << "|\n";
      if (r > 0) continue;
      for (size_t i = 0; i < widths.size(); ++i) {
        out << '|' << (i == 0 ? ":" : "") << std::string(widths[i] + 1, '-') << (i == 0 ? "" : ":");
      }
      out << "|\n";
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

void print(const BenchCommand& options, const engine::BenchOptions& bench, const Subject& subject,
           int threads, const engine::BenchResult& result, std::ostream& out) {
  Table table({"model", "size", "params", "threads", "kv", "test", "t/s", "limit", "share"});
  const auto add = [&](const std::string& test, const engine::Samples& samples,
                       const engine::Samples& limits) {
    if (samples.all.empty()) return;
    table.add({subject.name, fixed(static_cast<double>(subject.bytes) / 1e9, 2) + " GB",
               fixed(static_cast<double>(subject.parameters) / 1e9, 2) + " B", str(threads),
               subject.kv, test, fixed(samples.median(), 1) + " ± " + fixed(samples.deviation(), 1),
               limits.all.empty() ? "" : fixed(limits.median(), 1),
               limits.all.empty() ? "" : fixed(100 * samples.shares(limits).median(), 0) + " %"});
  };
  const std::string depth = bench.depth_tokens > 0 ? str(" @ d", bench.depth_tokens) : "";
  const std::string together = bench.sequences > 1 ? str(" x", bench.sequences) : "";
  add(str("pp", bench.prompt_tokens), result.prefill_tps, result.prefill_limit_tps);
  add(str("tg", bench.generated_tokens, together, depth), result.decode_tps,
      result.decode_limit_tps);
  add("text", result.text_plain_tps, {});
  add("text, guessed", result.text_speculative_tps, {});
  table.print(out);
  out << "limit: of prompts, the products at the peak of their arithmetic; of decoding, "
      << fixed(static_cast<double>(result.weight_bytes_per_token) / 1e6, 1)
      << " MB of weights a token and its keys and values at "
      << fixed(result.read_gb_per_s.median(), 1) << " GB/s\n";
  if (options.speculation.any() && !result.text_speculative_tps.all.empty()) {
    out << "guessed: " << result.speculation.accepted << " of " << result.speculation.drafted
        << " drafted tokens were right, in " << result.speculation.steps << " steps; "
        << fixed(result.text_speculative_tps.median() / result.text_plain_tps.median(), 2)
        << " times as fast\n";
  }
}

nlohmann::ordered_json result_json(const engine::BenchOptions& bench, const Subject& subject,
                                   const engine::BenchResult& result) {
  nlohmann::ordered_json json;
  json["size_bytes"] = subject.bytes;
  json["parameters"] = subject.parameters;
  json["prompt_tokens"] = bench.prompt_tokens;
  json["generated_tokens"] = bench.generated_tokens;
  json["depth_tokens"] = bench.depth_tokens;
  json["sequences"] = bench.sequences;
  json["prefill_tps"] = samples_json(result.prefill_tps);
  json["decode_tps"] = samples_json(result.decode_tps);
  json["prefill_limit_tps"] = result.prefill_limit_tps.median();
  json["decode_limit_tps"] = result.decode_limit_tps.median();
  json["prefill_share"] = result.prefill_tps.shares(result.prefill_limit_tps).median();
  json["decode_share"] = result.decode_tps.shares(result.decode_limit_tps).median();
  json["weight_bytes_per_token"] = result.weight_bytes_per_token;
  json["read_gb_per_s"] = samples_json(result.read_gb_per_s);
  if (!result.text_plain_tps.all.empty()) {
    json["text_plain_tps"] = samples_json(result.text_plain_tps);
  }
  if (!result.text_speculative_tps.all.empty()) {
    json["text_speculative_tps"] = samples_json(result.text_speculative_tps);
    json["speculation"] = {{"steps", result.speculation.steps},
                           {"drafted", result.speculation.drafted},
                           {"accepted", result.speculation.accepted}};
  }
  return json;
}

void run_bench(const BenchCommand& options, Io& io) {
  if (options.speculation.any() && options.text.empty()) {
    throw UsageError("--lookup and --draft need --text FILE: random tokens cannot be guessed");
  }
  const DevicePtr device = options.machine.device(options.model);
  const auto loaded = load_model(options.model, device, options.load, {}, &io);
  engine::BenchOptions bench = options.bench;
  bench.precision = parse_precision(options.precision);
  bench.kv_types = options.kv_types.types();
  model::ForwardOptions forward;
  forward.precision = bench.precision;
  std::vector<Speculation> made;  // a draft model lives as long as its speculator
  if (!options.text.empty()) {
    bench.text = loaded.need_tokenizer()->encode(read_file(options.text), {.bos = true});
    if (bench.text.size() < 2) throw UsageError(str(options.text, ": too short to measure"));
    if (options.speculation.any()) {
      bench.make_speculator = [&] {
        made.push_back(options.speculation.make(loaded, forward));
        return std::move(made.back().speculator);
      };
    }
  }
  Progress progress(io.err, io.terminal, "measuring", static_cast<double>(bench.repetitions + 1),
                    "runs");
  const auto result = engine::bench(
      loaded.model, bench, [&](int64_t run) { progress.update(static_cast<double>(run + 1)); });
  progress.finish();
  const Subject subject = subject_of(loaded, bench.kv_types);
  if (!options.json) {
    print(options, bench, subject, device->threads().size(), result, io.out);
    return;
  }
  nlohmann::ordered_json json = {
      {"engine", "corral"},
      {"model", loaded.name},
      {"threads", device->threads().size()},
      {"cpu_isa", simd::isa_name(device->isa())},
      {"mmap", !loaded.model.weights().readout.data.storage()->writable()},
      {"precision", options.precision},
      {"kv_type_k", dtype_name(bench.kv_types.k)},
      {"kv_type_v", dtype_name(bench.kv_types.v)}};
  json.update(result_json(bench, subject, result));
  io.out << json.dump() << '\n';
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
  command->add_option("--batch", options->bench.sequences, "sequences that are decoded together")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 12))
      ->capture_default_str();
  command->add_option("--text", options->text,
                      "a file whose last tokens are decoded too, with --lookup or --draft also "
                      "guessed: what that brings on such text");
  command
      ->add_option("-r,--repetitions", options->bench.repetitions,
                   "counted runs, after one warm-up")
      ->check(CLI::Range(int64_t{1}, int64_t{1000}))
      ->capture_default_str();
  command->add_flag("--json", options->json, "one JSON object with all samples");
  add_precision(*command, options->precision);
  options->load.add_to(*command);
  options->kv_types.add_to(*command);
  options->speculation.add_to(*command);
  options->machine.add_to(*command);
  command->footer(
      "Examples:\n"
      "  corral bench llama-scout-mini -p 512 -n 64 -t 2 --json\n"
      "  corral bench model.gguf -n 64 --depth 16384 --kv-type q8_0 --batch 8\n"
      "  corral bench model.gguf -p 0 -n 400 --text edited.txt --lookup");
  command->callback([options, &io] { run_bench(*options, io); });
}

}  // namespace corral::cli
