#include <algorithm>
#include <array>
#include <iomanip>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "model/layer_spec.h"
#include "model/presets.h"
#include "model/quantize.h"
#include "model/vision/vision_weights.h"
#include "model/weights.h"

namespace corral::cli {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct InfoOptions {
  std::string model;
  std::vector<int64_t> contexts = {8192, 131072, 1048576, 10485760};
  bool json = false;
};

constexpr std::array kKvTypes = {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

// What is known of a model: from its files, or of a preset from arithmetic alone.
struct InfoSubject {
  std::string name;
  std::string format;
  model::Config config;
  std::optional<model::VisionConfig> vision;
  std::map<std::string, int64_t> bytes_by_type;

  int64_t tower() const { return vision ? model::count_vision_parameters(*vision) : 0; }
  // All parameters; of text, a token uses only the active ones, and none of the tower's.
  model::ParameterCount parameters() const {
    model::ParameterCount count = model::count_parameters(config);
    count.total += tower();
    return count;
  }
  // In memory, the experts coded so and the rest, with the tower, in bf16.
  int64_t memory_bytes(model::ExpertCoding coding) const {
    return model::coded_bytes(config, coding) + bytes_of(DType::kBF16, tower());
  }
};

bool is_preset(const std::string& name) {
  const auto all = model::presets();
  return std::any_of(all.begin(), all.end(),
                     [&](const auto& preset) { return preset.name == name; });
}

InfoSubject inspect(const std::string& argument) {
  std::error_code error;
  if (!std::filesystem::exists(argument, error) && is_preset(argument)) {
    const model::Preset preset = model::find_preset(argument);
    return {argument, "preset", preset.config, preset.vision, {}};
  }
  CpuOptions one_thread;
  one_thread.threads = 1;
  const auto loaded = model::load_model(resolve_model(argument), Device::cpu(one_thread));
  InfoSubject subject{loaded.name, loaded.format, loaded.model.config(), {}, {}};
  if (loaded.vision) subject.vision = loaded.vision->config();
  for (const auto& tensor : loaded.source->tensors()) {
    if (tensor.size_bytes > 0) subject.bytes_by_type[tensor.type_name] += tensor.size_bytes;
  }
  return subject;
}

std::string billions(int64_t count) {
  std::ostringstream out;
  const auto value = static_cast<double>(count);
  out << std::fixed;
  if (value >= 1e9) {
    out << std::setprecision(2) << value / 1e9 << "B";
  } else if (value >= 1e6) {
    out << std::setprecision(2) << value / 1e6 << "M";
  } else {
    out << count;
  }
  return out.str();
}

std::string gibibytes(int64_t bytes) {
  std::ostringstream out;
  const auto value = static_cast<double>(bytes);
  out << std::fixed << std::setprecision(value < 0x1p30 ? 1 : 2);
  if (value < 0x1p30) {
    out << value / 0x1p20 << " MiB";
  } else {
    out << value / 0x1p30 << " GiB";
  }
  return out.str();
}

std::string layer_kinds(const model::Config& config) {
  std::string kinds;
  for (const model::LayerSpec& layer : model::layer_specs(config)) {
    kinds += layer.attention.rope ? 'r' : 'N';
    kinds += layer.moe ? 'e' : 'd';
    kinds += ' ';
  }
  return kinds;
}

OrderedJson as_json(const InfoSubject& subject, const InfoOptions& options) {
  const auto count = subject.parameters();
  OrderedJson json;
  json["name"] = subject.name;
  json["format"] = subject.format;
  json["parameters"] = {
      {"total", count.total}, {"active", count.active}, {"image_tower", subject.tower()}};
  json["bytes_by_type"] = subject.bytes_by_type;
  json["memory_bytes"] = {{"bf16", subject.memory_bytes(model::ExpertCoding::kNone)},
                          {"fp8", subject.memory_bytes(model::ExpertCoding::kFp8)},
                          {"int4", subject.memory_bytes(model::ExpertCoding::kInt4)}};
  for (const int64_t context : options.contexts) {
    OrderedJson bytes = {{"context", context}};
    for (const DType type : kKvTypes) {
      bytes[str(type, "_bytes")] = model::kv_cache_bytes(subject.config, context, {type, type});
    }
    json["kv_cache"].push_back(std::move(bytes));
  }
  json["config"] = OrderedJson::parse(model::config_json(subject.config));
  return json;
}

void print(std::ostream& out, const InfoSubject& subject, const InfoOptions& options) {
  const model::Config& c = subject.config;
  const auto count = subject.parameters();
  out << subject.name << " (" << subject.format << ")\n"
      << "parameters         " << billions(count.total) << " total, " << billions(count.active)
      << " active" << (subject.vision ? str(", ", billions(subject.tower()), " image tower") : "")
      << '\n'
      << "hidden_size        " << c.hidden_size << ", " << c.num_hidden_layers
      << " layers, vocabulary " << c.vocab_size << '\n'
      << "attention          " << c.num_attention_heads << " query and " << c.num_key_value_heads
      << " key-value heads of " << c.head_dim << (c.use_qk_norm ? ", QK norm" : "") << '\n'
      << "experts            " << c.num_local_experts << " of width " << c.intermediate_size << ", "
      << c.num_experts_per_tok << " a token, in " << c.moe_layers.size() << " layers\n"
      << "layers             " << layer_kinds(c) << "\n"
      << "                   (r: RoPE, chunks of "
      << (c.attention_chunk_size ? str(*c.attention_chunk_size) : "any length")
      << "; N: no positions, sees everything; e: experts; d: dense)\n";
  for (const auto& [type, bytes] : subject.bytes_by_type) {
    out << std::left << std::setw(19) << (type + " weights") << gibibytes(bytes) << '\n';
  }
  if (!c.moe_layers.empty()) {
    const auto bytes = [&](model::ExpertCoding coding) {
      return gibibytes(subject.memory_bytes(coding));
    };
    out << "weights in memory  " << bytes(model::ExpertCoding::kNone) << " in bf16, "
        << bytes(model::ExpertCoding::kFp8) << " with --quantize fp8, "
        << bytes(model::ExpertCoding::kInt4) << " with --quantize int4\n";
  }
  out << "keys and values at" << std::right;
  for (const DType type : kKvTypes) out << std::setw(type == kKvTypes.front() ? 14 : 13) << type;
  out << '\n';
  for (const int64_t context : options.contexts) {
    out << "  " << std::setw(10) << context << " tokens";
    for (const DType type : kKvTypes) {
      out << std::setw(13) << gibibytes(model::kv_cache_bytes(c, context, {type, type}));
    }
    out << '\n';
  }
}

}  // namespace

void add_info_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<InfoOptions>();
  CLI::App* command = app.add_subcommand("info", "what a model is: parameters, layers, memory");
  command
      ->add_option("model", options->model, str(kModelHelp, ", or a preset (scout, maverick, ...)"))
      ->required();
  command->add_option("--context", options->contexts, "context lengths to show the KV cache for")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command->add_flag("--json", options->json, "one JSON object, with the whole config");
  command->footer(
      "Examples:\n  corral info scout\n  corral info model.gguf --json --context 100000");
  command->callback([options, &io] {
    const InfoSubject subject = inspect(options->model);
    if (options->json) {
      io.out << as_json(subject, *options).dump() << '\n';
    } else {
      print(io.out, subject, *options);
    }
  });
}

}  // namespace corral::cli
