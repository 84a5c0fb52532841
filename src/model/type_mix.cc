#include "model/type_mix.h"

#include "base/error.h"

namespace corral::model {
namespace {

/// The type for rows that are not whole blocks of `dtype`.
DType wider(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kIQ4_XS:
      return DType::kIQ4_NL;
    case DType::kQ4_K:
      return DType::kQ5_0;
    case DType::kQ5_K:
      return DType::kQ5_1;
    case DType::kQ6_K:
      return DType::kQ8_0;
    default:
      return DType::kBF16;
  }
}

bool is_weight(DType dtype) {
  return is_block(dtype) || dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

}  // namespace

TypeMix::TypeMix(DType dtype)
    : name(dtype_name(dtype)), routed(dtype), others(dtype), lookups(dtype) {}

TypeMix TypeMix::parse(std::string_view name) {
  if (name == "mix4") {
    TypeMix mix(DType::kQ6_K);
    mix.name = name;
    mix.routed = DType::kQ4_K;
    return mix;
  }
  const DType dtype = parse_dtype(name);
  if (!is_weight(dtype)) throw UsageError(str("type '", name, "' holds indices, not weights"));
  return TypeMix(dtype);
}

DType wanted_dtype(const ExportTensor& tensor, const TypeMix& mix) {
  switch (tensor.role) {
    case Role::kNorm:
    case Role::kRouter:
      return DType::kF32;
    case Role::kEmbedding:
    case Role::kReadout:
      return mix.lookups;
    default:
      return tensor.shape.rank() == 3 ? mix.routed : mix.others;
  }
}

DType stored_dtype(const ExportTensor& tensor, const TypeMix& mix) {
  DType dtype = wanted_dtype(tensor, mix);
  while (tensor.shape[-1] % block_elements(dtype) != 0) dtype = wider(dtype);
  return dtype;
}

}  // namespace corral::model
