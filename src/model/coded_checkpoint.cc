#include "model/coded_checkpoint.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/coded_layout.h"
#include "quant/coded.h"

namespace corral::model {
namespace {

using quant::Coding;
using quant::LinearWeight;

[[noreturn]] void fail(const io::WeightSource& source, const std::string& name,
                       const std::string& reason) {
  throw CorruptFile(str(source.origin(), ": tensor ", name, " ", reason));
}

bool is_f8(const io::WeightSource& source, const std::string& name) {
  const io::TensorInfo* info = source.find(name);
  return info != nullptr && info->type_name == kF8Type;
}

// Scales as f32 [1, rows, groups]; the file may give a row's one scale any shape.
Tensor read_scales(const io::WeightSource& source, const std::string& name, int64_t rows,
                   std::optional<int64_t> groups, const DevicePtr& device) {
  if (!source.has(name)) fail(source, name, "is missing");
  const Tensor scales = source.get(name, device);
  const int64_t each = groups ? *groups : (rows > 0 ? scales.numel() / rows : 0);
  if (scales.numel() != rows * each || each == 0) {
    fail(source, name, str("is ", scales.shape(), ", ", rows, " rows need a scale or more each"));
  }
  if (scales.dtype() != DType::kF32 && scales.dtype() != DType::kF16 &&
      scales.dtype() != DType::kBF16) {
    fail(source, name, str("holds ", scales.dtype(), ", scales are f32, f16 or bf16"));
  }
  return to_f32(scales).view({1, rows, each});
}

LinearWeight coded(const Tensor& codes, const Tensor& scales, Coding coding, int64_t out,
                   int64_t in) {
  LinearWeight w{.data = codes,
                 .count = 1,
                 .out_features = out,
                 .in_features = in,
                 .stride_count = out * in,
                 .stride_out = in};
  w.coding = coding;
  w.scales = scales;
  return w;
}

void check_int4(const io::WeightSource& source, const std::string& name, int64_t out, int64_t in,
                const DevicePtr& device) {
  for (const char* unread : {"_zero_point", "_g_idx"}) {
    if (source.has(name + unread)) {
      throw NotSupported(str(source.origin(), ": tensor ", name, unread,
                             ": Corral reads int4 with symmetric groups in order only"));
    }
  }
  if (!source.has(name + "_shape")) return;
  const Tensor shape = source.get(name + "_shape", device);
  if (shape.dtype() != DType::kI64 || shape.numel() != 2 || shape.values<int64_t>()[0] != out ||
      shape.values<int64_t>()[1] != in) {
    fail(source, name + "_shape", str("does not say [", out, ", ", in, "], as the config does"));
  }
}

LinearWeight read_int4(const io::WeightSource& source, const std::string& name, int64_t out,
                       int64_t in, const DevicePtr& device) {
  const std::string packed_name = name + "_packed";
  check_int4(source, name, out, in, device);
  const Tensor packed = source.get(packed_name, device);
  if (packed.dtype() != DType::kI32 || in % kCodesPerWord != 0 ||
      !(packed.shape() == Shape{out, in / kCodesPerWord})) {
    fail(source, packed_name,
         str("is ", packed.dtype(), " ", packed.shape(), ", a matrix [", out, ", ", in,
             "] of int4 needs i32, eight codes each"));
  }
  const Tensor scales = read_scales(source, name + "_scale", out, std::nullopt, device);
  if (in % scales.dim(2) != 0 || (in / scales.dim(2)) % 2 != 0) {
    fail(source, name + "_scale", str("has ", scales.dim(2), " groups in rows of ", in));
  }
  return coded(reinterpret(packed, DType::kU8, {out, in / 2}), scales, Coding::kInt4, out, in);
}

// One expert a matrix: their codes stay where the file has them.
LinearWeight stack_of(const std::vector<LinearWeight>& experts, const DevicePtr& device) {
  LinearWeight stack = experts.front();
  stack.count = std::ssize(experts);
  const int64_t N = stack.out_features;
  const int64_t groups = stack.scales.dim(2);
  stack.scales = Tensor({stack.count, N, groups}, DType::kF32, device);
  auto* scales = stack.scales.mutable_data<float>();
  auto matrices = std::make_shared<std::vector<Tensor>>();
  for (const LinearWeight& expert : experts) {
    if (expert.coding != stack.coding || expert.scales.dim(2) != groups) {
      throw NotSupported("the experts of a layer are quantized in different ways");
    }
    scales = std::copy_n(expert.scales.data<float>(), N * groups, scales);
    matrices->push_back(expert.data);
  }
  stack.matrices = std::move(matrices);
  return stack;
}

LinearWeight read_experts(const io::WeightSource& source, const std::string& prefix,
                          const char* which, int64_t count, int64_t out, int64_t in,
                          const DevicePtr& device) {
  std::vector<LinearWeight> experts;
  for (int64_t e = 0; e < count; ++e) {
    const std::string name = str(prefix, e, ".", which, ".weight");
    auto expert = read_coded(source, name, out, in, device);
    if (!expert) {
      fail(source, name, source.has(name) ? "is not quantized like its neighbours" : "is missing");
    }
    experts.push_back(std::move(*expert));
  }
  return stack_of(experts, device);
}

// transformers and vLLM spell the scales of fused experts differently.
std::string scale_name(const io::WeightSource& source, const std::string& fused) {
  for (const char* suffix : {"_scale", "_weight_scale", ".weight_scale"}) {
    if (source.has(fused + suffix)) return fused + suffix;
  }
  return fused + "_scale";
}

// Columns [first, first + N) of a fused tensor [E, K, columns] in FP8.
LinearWeight read_fused(const io::WeightSource& source, const ParameterInfo& info, int64_t first,
                        int64_t N, const DevicePtr& device) {
  const Tensor codes = source.get(info.name, device);
  if (!(codes.shape() == info.shape)) {
    fail(source, info.name, str("is ", codes.shape(), ", the config needs ", info.shape));
  }
  const int64_t E = info.shape[0];
  const int64_t columns = info.shape[2];
  const Tensor all = read_scales(source, scale_name(source, info.name), E * columns, 1, device);
  LinearWeight w = LinearWeight::in_out(codes, first, N);
  w.coding = Coding::kF8E4M3;
  w.scales = Tensor({E, N, 1}, DType::kF32, device);
  for (int64_t e = 0; e < E; ++e) {
    std::copy_n(all.data<float>() + e * columns + first, N, w.scales.mutable_data<float>() + e * N);
  }
  return w;
}

}  // namespace

std::optional<LinearWeight> read_coded(const io::WeightSource& source, const std::string& name,
                                       int64_t out, int64_t in, const DevicePtr& device) {
  if (source.has(name + "_packed")) return read_int4(source, name, out, in, device);
  if (!is_f8(source, name)) return std::nullopt;
  const Tensor codes = source.get(name, device);
  if (!(codes.shape() == Shape{out, in})) {
    fail(source, name, str("is ", codes.shape(), ", the config needs ", Shape{out, in}));
  }
  return coded(codes, read_scales(source, name + "_scale", out, 1, device), Coding::kF8E4M3, out,
               in);
}

std::optional<MlpWeights> read_coded_experts(const io::WeightSource& source,
                                             const ParameterInfo& gate_up,
                                             const ParameterInfo& down, const DevicePtr& device) {
  const int64_t E = gate_up.shape[0];
  const int64_t D = gate_up.shape[1];
  const int64_t F = gate_up.shape[2] / 2;
  if (is_f8(source, gate_up.name)) {
    return MlpWeights{read_fused(source, gate_up, 0, F, device),
                      read_fused(source, gate_up, F, F, device),
                      read_fused(source, down, 0, D, device)};
  }
  const std::string prefix = gate_up.name.substr(0, gate_up.name.rfind('.') + 1);
  const std::string first = prefix + "0.gate_proj.weight";
  if (!source.has(first) && !source.has(first + "_packed")) return std::nullopt;
  return MlpWeights{read_experts(source, prefix, "gate_proj", E, F, D, device),
                    read_experts(source, prefix, "up_proj", E, F, D, device),
                    read_experts(source, prefix, "down_proj", E, D, F, device)};
}

}  // namespace corral::model
