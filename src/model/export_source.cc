#include "model/export_source.h"

#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "model/gguf_names.h"
#include "model/vision/vision_weights.h"
#include "quant/dense.h"

namespace corral::model {
namespace {

constexpr std::string_view kFused = "gate_up_proj";

// The names under which the source has a stack of experts: one, or gate and up.
std::vector<std::string> stack_names(const io::WeightSource& source, const std::string& name) {
  if (source.has(name) || !name.ends_with(kFused)) return {name};
  const std::string prefix = name.substr(0, name.size() - kFused.size());
  return {prefix + "gate_proj", prefix + "up_proj"};
}

void check(const io::WeightSource& source, const std::string& name, const Shape& shape) {
  if (!source.has(name)) throw CorruptFile(str(source.origin(), ": tensor ", name, " is missing"));
  const io::TensorInfo& info = source.info(name);
  if (!(info.shape == shape)) {
    throw CorruptFile(
        str(source.origin(), ": tensor ", name, " is ", info.shape, ", the config needs ", shape));
  }
  const DType dtype = info.dtype.value_or(DType::kU8);
  if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16) {
    throw CorruptFile(str(source.origin(), ": tensor ", name, " holds ", info.type_name,
                          ", a weight needs f32, f16 or bf16"));
  }
}

void check_stack(const io::WeightSource& source, const ParameterInfo& info) {
  const std::vector<std::string> names = stack_names(source, info.name);
  const Shape& whole = info.shape;
  const auto count = static_cast<int64_t>(names.size());
  for (const std::string& name : names) {
    check(source, name, {whole[0], whole[1], whole[2] / count});
  }
}

// [1, K, N0 + N1] from matrices [1, K, N] of one type.
Tensor side_by_side(const std::vector<Tensor>& halves) {
  const int64_t K = halves.front().dim(1);
  int64_t columns = 0;
  for (const Tensor& half : halves) columns += half.dim(2);
  Tensor out({1, K, columns}, halves.front().dtype(), halves.front().device());
  const auto size = static_cast<size_t>(block_bytes(out.dtype()));
  auto* to = out.mutable_data<std::byte>();
  out.device()->threads().parallel_for(K, 16, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      std::byte* row = to + static_cast<size_t>(k * columns) * size;
      for (const Tensor& half : halves) {
        const size_t bytes = static_cast<size_t>(half.dim(2)) * size;
        std::memcpy(row, half.data<std::byte>() + static_cast<size_t>(k) * bytes, bytes);
        row += bytes;
      }
    }
  });
  return out;
}

ExportTensor plain(const ParameterInfo& info, const std::string& name,
                   const io::WeightSource& source, const DevicePtr& device) {
  check(source, info.name, info.shape);
  const RowParts rows(info.shape);
  return {name, info.shape, info.role, rows.count(),
          [&source, device, rows, from = info.name](int64_t part) {
            return source.get_rows(from, rows.begin(part), rows.end(part), device);
          }};
}

ExportTensor hf_stack(const ParameterInfo& info, const io::WeightSource& source,
                      const DevicePtr& device) {
  check_stack(source, info);
  const auto make = [&source, device, names = stack_names(source, info.name)](int64_t e) {
    if (names.size() == 1) return source.get_rows(names.front(), e, e + 1, device);
    std::vector<Tensor> halves;
    for (const std::string& name : names) {
      halves.push_back(source.get_rows(name, e, e + 1, device));
    }
    return side_by_side(halves);
  };
  return {info.name, info.shape, info.role, info.shape[0], make};
}

// Columns [first, first + N) of an expert [1, K, columns] as [1, N, K].
Tensor turned(const Tensor& expert, int64_t first, int64_t N) {
  const auto matrix = quant::LinearWeight::in_out(expert, first, N);
  return quant::dense_f32(matrix).view({1, N, expert.dim(1)});
}

void add_gguf_stack(const ParameterInfo& info, const io::WeightSource& source,
                    const DevicePtr& device, std::vector<ExportTensor>& list) {
  check_stack(source, info);
  const std::vector<std::string> names = stack_names(source, info.name);
  const std::vector<GgufTensor> form = gguf_form(info);
  for (size_t i = 0; i < form.size(); ++i) {
    const int64_t N = form[i].shape[1];
    const bool apart = names.size() == form.size();
    const std::string& name = apart ? names[i] : names.front();
    const int64_t first = apart ? 0 : static_cast<int64_t>(i) * N;
    list.push_back({form[i].name, form[i].shape, info.role, form[i].shape[0],
                    [&source, device, name, first, N](int64_t e) {
                      return turned(source.get_rows(name, e, e + 1, device), first, N);
                    }});
  }
}

}  // namespace

std::vector<ExportTensor> hf_tensors(const Config& config, const io::WeightSource& source,
                                     const DevicePtr& device) {
  std::vector<ExportTensor> list;
  for (const ParameterInfo& info : parameter_list(config)) {
    list.push_back(info.shape.rank() == 3 ? hf_stack(info, source, device)
                                          : plain(info, info.name, source, device));
  }
  return list;
}

std::vector<ExportTensor> gguf_tensors(const Config& config, const io::WeightSource& source,
                                       const DevicePtr& device) {
  std::vector<ExportTensor> list;
  for (const ParameterInfo& info : parameter_list(config)) {
    if (info.shape.rank() == 3) {
      add_gguf_stack(info, source, device, list);
      continue;
    }
    list.push_back(plain(info, gguf_form(info).front().name, source, device));
    if (info.role == Role::kEmbedding && config.rope_scaling) {
      list.push_back(rope_divisors(config, device));
    }
  }
  return list;
}

std::vector<ExportTensor> hf_vision_tensors(const VisionConfig& config,
                                            const io::WeightSource& source,
                                            const DevicePtr& device) {
  std::vector<ExportTensor> list;
  for (const VisionParameterInfo& info : vision_parameter_list(config)) {
    list.push_back(plain(info.hf, info.hf.name, source, device));
  }
  return list;
}

}  // namespace corral::model
