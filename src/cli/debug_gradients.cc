#include <algorithm>
#include <memory>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "model/hf_checkpoint.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace corral::cli {
namespace {

struct GradientOptions {
  std::string model;
  std::string batch;
  std::string out;
  std::string precision = "f32";
  bool recompute = false;
  MachineOptions machine;
};

struct LabelledBatch {
  kv::Batch batch;
  std::vector<int32_t> targets;
  int64_t supervised = 0;
};

std::vector<int32_t> id_row(const Json& row, const std::string& file, int64_t low, int64_t high) {
  std::vector<int32_t> ids;
  if (!row.is_array()) throw CorruptFile(str(file, ": tokens and labels are lists of lists"));
  for (const Json& id : row) {
    const bool ignored = low < 0 && id.is_number_integer() && id.get<int64_t>() == -100;
    if (!ignored &&
        (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= high)) {
      throw CorruptFile(str(file, ": id ", id.dump().substr(0, 20), ", needs 0 to ", high - 1));
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

LabelledBatch read_batch(const std::string& file, int64_t vocab_size) {
  const Json json = parse_json(read_file(file), file);
  if (!json.is_object() || !json.contains("tokens") || !json.contains("labels") ||
      !json["tokens"].is_array() || !json["labels"].is_array() ||
      json["tokens"].size() != json["labels"].size()) {
    throw CorruptFile(str(file, ": needs tokens and labels, lists of equally many lists"));
  }
  LabelledBatch out;
  for (size_t i = 0; i < json["tokens"].size(); ++i) {
    const auto tokens = id_row(json["tokens"][i], file, 0, vocab_size);
    const auto labels = id_row(json["labels"][i], file, -1, vocab_size);
    if (tokens.size() != labels.size()) {
      throw CorruptFile(str(file, ": sequence ", i, " has ", tokens.size(), " tokens and ",
                            labels.size(), " labels"));
    }
    out.batch.append(tokens, 0);
    out.targets.insert(out.targets.end(), labels.begin(), labels.end());
  }
  out.supervised = std::count_if(out.targets.begin(), out.targets.end(),
                                 [](int32_t target) { return target >= 0; });
  if (out.supervised == 0) throw CorruptFile(str(file, ": no label is supervised"));
  return out;
}

void run_gradients(const GradientOptions& options, Io& io) {
  const DevicePtr device = options.machine.device();
  const auto path = resolve_model(options.model);
  if (!std::filesystem::is_directory(path)) {
    throw UsageError(
        str(path.string(), ": gradients need a Hugging Face directory of float weights"));
  }
  const model::Config config = model::read_hf_config(path);
  const auto model = model::TextModel::trainable(
      config, model::hf_parameters(*io::open_sharded(path), config, device));
  const LabelledBatch data = read_batch(options.batch, config.vocab_size);
  model::ForwardOptions forward;
  forward.precision = parse_precision(options.precision);
  forward.recompute = options.recompute;
  const Tensor hidden_TD = model.hidden(data.batch, forward);
  const auto result = ops::cross_entropy(hidden_TD, model.weights().readout, data.targets,
                                         static_cast<double>(data.supervised), forward.precision);
  autograd::backward(result.loss);
  std::vector<io::NamedTensor> gradients;
  for (const model::NamedParameter& parameter : model.parameters()) {
    const Tensor gradient = autograd::gradient(parameter.value);
    // An expert that no token chose has no gradient: zero.
    gradients.push_back({parameter.name, gradient.defined() ? gradient
                                                            : Tensor::zeros(parameter.value.shape(),
                                                                            DType::kF32, device)});
  }
  io::write_safetensors(options.out, gradients);
  io.out << nlohmann::json{{"loss", result.loss.data<float>()[0]}}.dump() << '\n';
}

}  // namespace

void add_debug_gradients(CLI::App& debug, Io& io) {
  auto options = std::make_shared<GradientOptions>();
  CLI::App* command = debug.add_subcommand("gradients", "loss and the gradient of every parameter");
  command->add_option("model", options->model, "a Hugging Face directory")->required();
  command->add_option("--batch", options->batch, "JSON with tokens and labels (-100: ignored)")
      ->required();
  command->add_option("--out", options->out, "safetensors file to write")->required();
  command->add_flag("--recompute", options->recompute, "recompute activations layer by layer");
  add_precision(*command, options->precision);
  options->machine.add_to(*command);
  command->footer(
      "Example:\n  corral debug gradients model --batch batch.json --out grads.safetensors");
  command->callback([options, &io] { run_gradients(*options, io); });
}

}  // namespace corral::cli
