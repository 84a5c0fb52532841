#include "model/quantize.h"

#include <utility>

#include "base/error.h"
#include "quant/coded.h"

namespace corral::model {
namespace {

using quant::LinearWeight;

constexpr int64_t kScaleBytes = 4;
constexpr int64_t kBf16Bytes = 2;

void code(LinearWeight& weight, ExpertCoding coding) {
  if (weight.coding != quant::Coding::kNone) {
    throw UsageError("--quantize: the model's experts are quantized already");
  }
  weight = coding == ExpertCoding::kInt4 ? quant::encode_int4(weight) : quant::encode_f8(weight);
}

void code(MlpWeights& mlp, ExpertCoding coding) {
  code(mlp.gate, coding);
  code(mlp.up, coding);
  code(mlp.down, coding);
}

// Of `count` matrices.
int64_t matrix_bytes(int64_t count, int64_t out, int64_t in, ExpertCoding coding) {
  const int64_t n = count * out * in;
  if (coding == ExpertCoding::kInt4) return n / 2 + n / quant::int4_group(in) * kScaleBytes;
  if (coding == ExpertCoding::kFp8) return n + count * out * kScaleBytes;
  return n * kBf16Bytes;
}

bool is_coded(const MlpWeights& mlp) {
  return mlp.gate.coding != quant::Coding::kNone || mlp.up.coding != quant::Coding::kNone ||
         mlp.down.coding != quant::Coding::kNone;
}

}  // namespace

ExpertCoding parse_expert_coding(const std::string& name) {
  if (name == "none") return ExpertCoding::kNone;
  if (name == "int4") return ExpertCoding::kInt4;
  if (name == "fp8") return ExpertCoding::kFp8;
  throw UsageError(str("quantization '", name, "' is unknown: use int4, fp8 or none"));
}

TextWeights code_experts(TextWeights weights, ExpertCoding coding) {
  if (coding == ExpertCoding::kNone) return weights;
  for (LayerWeights& layer : weights.layers) {
    if (!layer.moe) continue;
    code(layer.moe->experts, coding);
    code(layer.moe->shared, coding);
  }
  return weights;
}

void need_float_experts(const TextWeights& weights) {
  for (const LayerWeights& layer : weights.layers) {
    if (layer.moe && (is_coded(layer.moe->experts) || is_coded(layer.moe->shared))) {
      throw NotSupported(
          "the model's experts are codes already: int4 and fp8 are made from the float model");
    }
  }
}

int64_t coded_bytes(const Config& config, ExpertCoding coding) {
  int64_t bytes = count_parameters(config).total * kBf16Bytes;
  const int64_t D = config.hidden_size;
  const int64_t F = config.intermediate_size;
  const int64_t matrices = config.num_local_experts + 1;
  for (const std::pair<int64_t, int64_t>& shape :
       {std::pair{F, D}, std::pair{F, D}, std::pair{D, F}}) {
    const auto [out, in] = shape;
    bytes += std::ssize(config.moe_layers) * (matrix_bytes(matrices, out, in, coding) -
                                              matrix_bytes(matrices, out, in, ExpertCoding::kNone));
  }
  return bytes;
}

}  // namespace corral::model
