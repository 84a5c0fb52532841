#include "model/hf_checkpoint.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "model/coded_checkpoint.h"

namespace corral::model {
namespace {

constexpr std::string_view kMultimodalPrefix = "language_model.";
constexpr int64_t kMaxConfigBytes = int64_t{16} << 20;

// The name with the multimodal prefix, or without it when it has one.
std::string in_other_layout(const std::string& name) {
  const bool prefixed = name.starts_with(kMultimodalPrefix);
  return prefixed ? name.substr(kMultimodalPrefix.size()) : std::string(kMultimodalPrefix) + name;
}

// The name under which the file has the parameter: with or without the multimodal prefix.
std::string name_in(const io::WeightSource& source, const std::string& name) {
  if (source.has(name)) return name;
  const std::string other = in_other_layout(name);
  return source.has(other) ? other : name;
}

Tensor get_float(const io::WeightSource& source, const ParameterInfo& info,
                 const DevicePtr& device) {
  Tensor tensor = source.get(name_in(source, info.name), device);
  const DType dtype = tensor.dtype();
  if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16) {
    throw CorruptFile(str(source.origin(), ": tensor ", info.name, " holds ", dtype,
                          ", a weight needs f32, f16 or bf16"));
  }
  return tensor;
}

// The parameter of gate (or up) where the file keeps the two apart.
ParameterInfo half_of(const ParameterInfo& gate_up, std::string_view name) {
  constexpr std::string_view kBoth = "gate_up_proj";
  ParameterInfo half = gate_up;
  half.name.replace(half.name.size() - kBoth.size(), kBoth.size(), name);
  half.shape = {gate_up.shape[0], gate_up.shape[1], gate_up.shape[2] / 2};
  return half;
}

// Parameters of a Hugging Face directory, or of another checkpoint under these names.
class HfReader final : public ParameterReader {
 public:
  HfReader(const io::WeightSource& source, const Config& config, const DevicePtr& device)
      : source_(source), device_(device) {
    const std::string root(config.multimodal_layout ? kMultimodalPrefix : std::string_view());
    const std::string norm = root + "model.norm.weight";
    other_layout_ = name_in(source, norm) != norm;
  }

  Tensor tensor(const ParameterInfo& info) override { return get_float(source_, info, device_); }
  quant::LinearWeight linear(const ParameterInfo& info) override {
    const auto coded =
        read_coded(source_, in_file(info).name, info.shape[0], info.shape[1], device_);
    return coded ? *coded : ParameterReader::linear(info);
  }
  MlpWeights experts(const ParameterInfo& gate_up, const ParameterInfo& down) override {
    const auto coded = read_coded_experts(source_, in_file(gate_up), in_file(down), device_);
    if (coded) return *coded;
    const ParameterInfo gate = half_of(gate_up, "gate_proj");
    if (!source_.has(name_in(source_, gate.name))) {
      return ParameterReader::experts(gate_up, down);
    }
    const ParameterInfo up = half_of(gate_up, "up_proj");
    return {stack(gate), stack(up), stack(down)};
  }

 private:
  quant::LinearWeight stack(const ParameterInfo& info) {
    return quant::LinearWeight::in_out(checked(info), 0, info.shape[2]);
  }

  // The parameter as the file names it, also when only a part of that name is there (..._packed).
  ParameterInfo in_file(ParameterInfo info) const {
    if (other_layout_) info.name = in_other_layout(info.name);
    return info;
  }

  const io::WeightSource& source_;
  const DevicePtr& device_;
  bool other_layout_ = false;
};

// gate_up_proj in f32 from a file that keeps the halves apart.
Tensor joined_halves(const io::WeightSource& source, const ParameterInfo& info,
                     const DevicePtr& device) {
  const std::array<Tensor, 2> halves = {
      to_f32(get_float(source, half_of(info, "gate_proj"), device)),
      to_f32(get_float(source, half_of(info, "up_proj"), device))};
  const int64_t F = info.shape[2] / 2;
  Tensor joined(info.shape, DType::kF32, device);
  auto* to = joined.mutable_data<float>();
  for (int64_t row = 0; row < info.shape[0] * info.shape[1]; ++row) {
    for (const Tensor& half : halves) {
      to = std::copy_n(half.data<float>() + row * F, F, to);
    }
  }
  return joined;
}

bool keeps_halves_apart(const io::WeightSource& source, const ParameterInfo& info) {
  return info.name.ends_with("gate_up_proj") && !source.has(name_in(source, info.name)) &&
         source.has(half_of(info, "gate_proj").name);
}

}  // namespace

Config read_hf_config(const std::filesystem::path& dir) {
  const std::filesystem::path path = dir / "config.json";
  return parse_config(read_file(path, kMaxConfigBytes), path.string());
}

TextWeights hf_weights(const io::WeightSource& source, const Config& config,
                       const DevicePtr& device) {
  try {
    HfReader reader(source, config, device);
    return arrange_weights(config, reader);
  } catch (const CorruptFile& error) {
    const std::string message = error.what();
    if (message.starts_with(source.origin())) throw;
    throw CorruptFile(str(source.origin(), ": ", message));
  }
}

std::vector<Tensor> hf_parameters(const io::WeightSource& source, const Config& config,
                                  const DevicePtr& device) {
  std::vector<Tensor> parameters;
  for (const ParameterInfo& info : parameter_list(config)) {
    const Tensor tensor = keeps_halves_apart(source, info) ? joined_halves(source, info, device)
                                                           : get_float(source, info, device);
    if (!(tensor.shape() == info.shape)) {
      throw CorruptFile(str(source.origin(), ": tensor ", info.name, " is ", tensor.shape(),
                            ", the config needs ", info.shape));
    }
    const Tensor wide = to_f32(tensor);
    parameters.push_back(wide.storage()->writable() ? wide : wide.clone());
  }
  return parameters;
}

}  // namespace corral::model
