#include <cstring>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "io/safetensors_writer.h"
#include "media/tiles.h"

namespace corral::cli {
namespace {

struct LogitsOptions {
  std::string model;
  std::string cases;
  std::string out;
  bool trace = false;
  int64_t piece = 0;  // 0: the whole sequence at once, without a cache
  std::string mmproj;
  std::string precision = "f32";
  KvTypeOptions kv_types;
  MachineOptions machine;
};

// A [rows, columns] tensor that grows by pieces of rows.
class Rows {
 public:
  void add(const Tensor& x) {
    columns_ = x.dim(1);
    const auto values = x.values<float>();
    values_.insert(values_.end(), values.begin(), values.end());
  }
  Tensor tensor(const DevicePtr& device) const {
    return Tensor::from(values_, {static_cast<int64_t>(values_.size()) / columns_, columns_},
                        device);
  }

 private:
  int64_t columns_ = 1;
  std::vector<float> values_;
};

// Collects what flows by, over all pieces of a case.
class Recorder : public model::Observer {
 public:
  explicit Recorder(bool activations) : activations_(activations) {}

  void activation(const std::string& name, const Tensor& x) override {
    if (activations_) traced[name].add(x);
  }
  void routed(int64_t layer, const Tensor&, const ops::Routing& routing) override {
    // The golden form has one expert a token: the first choice.
    auto& row = experts[layer];
    for (int64_t t = 0; t < routing.tokens; ++t) {
      row.push_back(routing.expert_TK[static_cast<size_t>(t * routing.top_k)]);
    }
  }

  std::map<std::string, Rows> traced;
  std::map<int64_t, std::vector<int32_t>> experts;

 private:
  bool activations_;
};

// The stages of the image tower, each with its own axes.
class StageRecorder : public model::Observer {
 public:
  void activation(const std::string& name, const Tensor& x) override { seen[name] = x; }
  void routed(int64_t, const Tensor&, const ops::Routing&) override {}

  std::map<std::string, Tensor> seen;
};

std::vector<int32_t> token_list(const Json& entry, const char* key, const std::string& file,
                                int64_t vocab_size) {
  if (!entry.contains(key) || !entry[key].is_array() || entry[key].empty()) {
    throw CorruptFile(str(file, ": an entry has no list of ", key));
  }
  std::vector<int32_t> tokens;
  for (const Json& id : entry[key]) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= vocab_size) {
      throw CorruptFile(str(file, ": ", key, " holds ", id.dump().substr(0, 20),
                            ", needs ids of 0 to ", vocab_size - 1));
    }
    tokens.push_back(id.get<int32_t>());
  }
  return tokens;
}

Tensor expert_table(const Recorder& recorder, const DevicePtr& device) {
  std::vector<int32_t> all;
  for (const auto& [layer, row] : recorder.experts) all.insert(all.end(), row.begin(), row.end());
  const auto layers = static_cast<int64_t>(recorder.experts.size());
  return Tensor::from(all, {layers, layers == 0 ? 0 : static_cast<int64_t>(all.size()) / layers},
                      device);
}

class LogitsRun {
 public:
  explicit LogitsRun(const LogitsOptions& options)
      : options_(options),
        device_(options.machine.device()),
        loaded_(model::load_model(resolve_model(options.model), device_, options.mmproj)) {
    forward_.precision = parse_precision(options.precision);
  }

  void run(Io& io) {
    const Json json = parse_json(read_file(options_.cases), options_.cases);
    for (const Json& entry : json.value("cases", Json::array())) run_case(entry);
    io::write_safetensors(options_.out, tensors_);
    Json greedy = json.value("greedy", Json::array());
    if (greedy.is_object()) greedy = Json::array({greedy});
    for (size_t i = 0; i < greedy.size(); ++i) {
      io.out << run_greedy(greedy[i], i, json) << '\n';
    }
  }

 private:
  void run_case(const Json& entry) {
    const std::string name = entry.value("name", "");
    if (name.empty()) throw CorruptFile(str(options_.cases, ": a case has no name"));
    Recorder recorder(options_.trace);
    const engine::Prompt prompt = prompt_of(entry, "tokens", name);
    const Tensor logits = forward(prompt, recorder);
    tensors_.push_back({name + ".logits", logits});
    if (!recorder.experts.empty()) {
      tensors_.push_back({name + ".experts", expert_table(recorder, device_)});
    }
    for (const auto& [key, rows] : recorder.traced) {
      tensors_.push_back({str(name, ".", key), rows.tensor(device_)});
    }
  }

  // The tokens under `key` with the pictures of the entry's parts, whose tiles and stages in the
  // tower become tensors of `traced_as` (unless that is empty).
  engine::Prompt prompt_of(const Json& entry, const char* key, const std::string& traced_as) {
    engine::Prompt prompt = {.tokens = tokens_of(entry, key)};
    std::vector<media::TiledImage> pictures;
    for (const Json& part : entry.value("parts", Json::array())) {
      if (!part.is_object() || !part.contains("image")) continue;
      const auto path =
          std::filesystem::path(options_.cases).parent_path() / part["image"].get<std::string>();
      pictures.push_back(tiles_of(path));
    }
    if (pictures.empty()) return prompt;
    const model::VisionTower& tower = *loaded_.need_vision();
    const Tensor tiles = joined(pictures);
    StageRecorder stages;
    model::ForwardOptions options = forward_;
    options.observer = &stages;
    auto image = std::make_shared<engine::EncodedImage>();
    image->vectors_MW = tower.encode(tiles, options);
    prompt.images = {image};
    prompt.placeholder = static_cast<int32_t>(tower.config().image_token);
    if (options_.trace && !traced_as.empty()) {
      tensors_.push_back({traced_as + ".tiles", tiles});
      for (const auto& [stage, x] : stages.seen)
        tensors_.push_back({str(traced_as, ".", stage), x});
    }
    return prompt;
  }

  media::TiledImage tiles_of(const std::filesystem::path& path) const {
    const std::string file = read_file(path, media::ImageLimits().max_bytes);
    const media::Image picture = media::decode_image(std::as_bytes(std::span(file)), path.string());
    return media::tile_image(picture, {.size = loaded_.need_vision()->config().image_size},
                             device_);
  }

  Tensor joined(const std::vector<media::TiledImage>& pictures) const {
    std::vector<float> values;
    for (const media::TiledImage& picture : pictures) {
      const auto tiles = picture.tiles.values<float>();
      values.insert(values.end(), tiles.begin(), tiles.end());
    }
    const int64_t S = loaded_.need_vision()->config().image_size;
    return Tensor::from(values, {static_cast<int64_t>(values.size()) / (3 * S * S), 3, S, S},
                        device_);
  }

  Tensor forward(const engine::Prompt& prompt, Recorder& recorder) {
    model::ForwardOptions options = forward_;
    options.observer = &recorder;
    const model::TextModel& model = loaded_.model;
    const auto identities = prompt.identities();
    const auto total = static_cast<int64_t>(prompt.tokens.size());
    const auto run = [&](int64_t begin, int64_t end, int64_t sequence) {
      return model.logits(
          model.hidden(engine::prompt_batch(prompt, identities, begin, end, sequence), options),
          options);
    };
    if (options_.piece == 0 && !options_.kv_types.given()) return run(0, total, -1);
    const int64_t piece = options_.piece > 0 ? options_.piece : total;
    kv::KvCache cache(model.kv_layout(options_.kv_types.types()), device_);
    options.cache = &cache;
    const int64_t sequence = cache.create();
    Rows logits;
    for (int64_t begin = 0; begin < total; begin += piece) {
      logits.add(run(begin, std::min(begin + piece, total), sequence));
    }
    return logits.tensor(device_);
  }

  // As many tokens as the entry's own output has, from the cached decoder.
  std::string run_greedy(const Json& entry, size_t index, const Json& json) {
    const Json* from = entry.contains("case") ? find_case(json, entry["case"]) : nullptr;
    const engine::Prompt prompt =
        from != nullptr ? prompt_of(*from, "tokens", "") : prompt_of(entry, "prompt", "");
    if (!entry.contains("output") || !entry["output"].is_array()) {
      throw CorruptFile(str(options_.cases, ": a greedy entry has no output"));
    }
    engine::Session session(loaded_.model, nullptr, forward_,
                            options_.piece > 0 ? options_.piece : engine::kPieceTokens,
                            options_.kv_types.types());
    engine::GenerateOptions generate;
    generate.sampling.temperature = 0;
    generate.max_tokens = static_cast<int64_t>(entry["output"].size());
    generate.ignore_stop_tokens = true;
    const engine::Answer answer = session.generate(prompt, generate);
    nlohmann::ordered_json line;
    if (entry.contains("name")) {
      line["name"] = entry["name"];
    } else {
      line["index"] = index;
    }
    line["output"] = answer.tokens;
    return line.dump();
  }

  const Json* find_case(const Json& json, const Json& name) const {
    for (const Json& entry : json["cases"]) {
      if (entry.value("name", Json()) == name) return &entry;
    }
    throw CorruptFile(str(options_.cases, ": a greedy entry names case ", name.dump().substr(0, 40),
                          ", which is not there"));
  }

  std::vector<int32_t> tokens_of(const Json& entry, const char* key) const {
    return token_list(entry, key, options_.cases, loaded_.model.config().vocab_size);
  }

  const LogitsOptions& options_;
  DevicePtr device_;
  model::LoadedModel loaded_;
  model::ForwardOptions forward_;
  std::vector<io::NamedTensor> tensors_;
};

}  // namespace

void add_debug_logits(CLI::App& debug, Io& io) {
  auto options = std::make_shared<LogitsOptions>();
  CLI::App* command =
      debug.add_subcommand("logits", "logits, expert choices and activations of given tokens");
  command->add_option("model", options->model, kModelHelp)->required();
  command
      ->add_option("--cases", options->cases,
                   "JSON with cases[] {name, tokens, parts} and greedy[]")
      ->required();
  command->add_option("--out", options->out, "safetensors file to write")->required();
  command->add_flag("--trace", options->trace, "also write every layer's activations");
  command
      ->add_option("--piece", options->piece,
                   "feed this many tokens at a time through the KV cache")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  command->add_option("--mmproj", options->mmproj,
                      "image projector file of a GGUF model (default: the one beside it)");
  add_precision(*command, options->precision);
  options->kv_types.add_to(*command);
  options->machine.add_to(*command);
  command->footer(
      "Example:\n  corral debug logits model.gguf --cases cases.json --out logits.safetensors");
  command->callback([options, &io] { LogitsRun(*options).run(io); });
}

}  // namespace corral::cli
