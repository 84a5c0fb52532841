#include "model/initialise.h"

#include <cmath>
#include <string_view>

#include "base/random.h"

namespace corral::model {
namespace {

constexpr double kEmbeddingStd = 0.2;
constexpr double kRouterStd = 0.02;
constexpr double kReadoutGain = 0.25;

}  // namespace

std::string_view plain_name(std::string_view name) {
  constexpr std::string_view kPrefix = "language_model.";
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

double initial_std(const Config& config, const ParameterInfo& info) {
  // Expert tensors are [E, in, out], all others [out, in].
  const double fan_in =
      static_cast<double>(info.shape.rank() == 3 ? info.shape[1] : info.shape[-1]);
  const double branch_end = 1.0 / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
  switch (info.role) {
    case Role::kEmbedding:
      return kEmbeddingStd;
    case Role::kNorm:
    case Role::kBias:
      return 0;
    case Role::kRouter:
      return kRouterStd;
    case Role::kReadout:
      return kReadoutGain / std::sqrt(fan_in);
    case Role::kAttentionOut:
    case Role::kMlpOut:
      return branch_end / std::sqrt(fan_in);
    case Role::kAttentionIn:
    case Role::kMlpIn:
      break;
  }
  return 1.0 / std::sqrt(fan_in);
}

Tensor initialise_parameter(const Config& config, const ParameterInfo& info, uint64_t seed,
                            const DevicePtr& device) {
  Tensor tensor(info.shape, DType::kF32, device);
  auto* values = tensor.mutable_data<float>();
  const double std = initial_std(config, info);
  const bool ones = info.role == Role::kNorm;
  const Philox random(seed ^ hash_name(plain_name(info.name)));
  device->threads().parallel_for(tensor.numel(), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      values[i] = ones ? 1.0f : static_cast<float>(std * random.normal(static_cast<uint64_t>(i)));
    }
  });
  return tensor;
}

std::vector<Tensor> initialise(const Config& config, uint64_t seed, const DevicePtr& device) {
  std::vector<Tensor> tensors;
  for (const ParameterInfo& info : parameter_list(config)) {
    tensors.push_back(initialise_parameter(config, info, seed, device));
  }
  return tensors;
}

}  // namespace corral::model
