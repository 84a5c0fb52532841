#include "model/vision/vision_checkpoint.h"

#include "base/error.h"

namespace corral::model {
namespace {

Tensor get_float(const io::WeightSource& source, const VisionParameterInfo& info,
                 const DevicePtr& device) {
  const std::string& name = info.hf.name;
  if (!source.has(name)) throw CorruptFile(str(source.origin(), ": tensor ", name, " is missing"));
  Tensor tensor = source.get(name, device);
  const DType dtype = tensor.dtype();
  if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16) {
    throw CorruptFile(str(source.origin(), ": tensor ", name, " holds ", dtype,
                          ", the image tower needs f32, f16 or bf16"));
  }
  if (!(tensor.shape() == info.hf.shape)) {
    throw CorruptFile(str(source.origin(), ": tensor ", name, " is ", tensor.shape(),
                          ", the config needs ", info.hf.shape));
  }
  return tensor;
}

}  // namespace

VisionWeights hf_vision_weights(const io::WeightSource& source, const VisionConfig& config,
                                const DevicePtr& device) {
  return arrange_vision_weights(
      config, [&](const VisionParameterInfo& info) { return get_float(source, info, device); });
}

std::vector<Tensor> hf_vision_parameters(const io::WeightSource& source, const VisionConfig& config,
                                         const DevicePtr& device) {
  std::vector<Tensor> parameters;
  for (const VisionParameterInfo& info : vision_parameter_list(config)) {
    const Tensor wide = to_f32(get_float(source, info, device));
    parameters.push_back(wide.storage()->writable() ? wide : wide.clone());
  }
  return parameters;
}

std::vector<ExportTensor> hf_vision_tensors(const VisionConfig& config,
                                            const VisionWeights& weights) {
  const std::vector<VisionParameterInfo> infos = vision_parameter_list(config);
  const std::vector<Tensor> tensors = vision_tensors(config, weights);
  std::vector<ExportTensor> list;
  for (size_t i = 0; i < infos.size(); ++i) {
    const ParameterInfo& info = infos[i].hf;
    list.push_back(
        {info.name, info.shape, info.role, 1, [t = tensors[i].detach()](int64_t) { return t; }});
  }
  return list;
}

}  // namespace corral::model
