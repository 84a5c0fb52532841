#include "model/coded_export.h"

#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "model/coded_layout.h"
#include "quant/coded.h"

namespace corral::model {
namespace {

using quant::LinearWeight;

constexpr int64_t kShapeBytes = 16;

// All parts of a tensor, one below the other.
Tensor joined(const ExportTensor& tensor) {
  const Tensor first = tensor.make(0);
  if (tensor.parts == 1) return first;
  Tensor whole(tensor.shape, first.dtype(), first.device());
  auto* to = whole.mutable_data<std::byte>();
  for (int64_t part = 0; part < tensor.parts; ++part) {
    const Tensor rows = part == 0 ? first : tensor.make(part);
    std::memcpy(to, rows.data<std::byte>(), static_cast<size_t>(rows.size_bytes()));
    to += rows.size_bytes();
  }
  return whole;
}

Json scheme(ExpertCoding coding, int64_t group) {
  if (coding == ExpertCoding::kInt4) {
    return {{"num_bits", 4},        {"type", "int"},       {"symmetric", true},
            {"strategy", "group"},  {"group_size", group}, {"dynamic", false},
            {"observer", "minmax"}, {"actorder", nullptr}};
  }
  return {{"num_bits", 8},         {"type", "float"},  {"symmetric", true},
          {"strategy", "channel"}, {"dynamic", false}, {"observer", "minmax"}};
}

Json activations(ExpertCoding coding) {
  if (coding == ExpertCoding::kInt4) return nullptr;
  return {{"num_bits", 8},
          {"type", "float"},
          {"symmetric", true},
          {"strategy", "token"},
          {"dynamic", true}};
}

}  // namespace

bool CodedExperts::takes(const ExportTensor& tensor) {
  return tensor.name.find(".feed_forward.experts.") != tensor.name.npos ||
         tensor.name.find(".shared_expert.") != tensor.name.npos;
}

CodedExperts::CodedExperts(ExpertCoding coding, const std::vector<ExportTensor>& tensors)
    : coding_(coding) {
  for (const ExportTensor& tensor : tensors) {
    if (!takes(tensor)) continue;
    if (tensor.shape.rank() == 3) {
      add_stack(tensor);
    } else {
      add({tensor.name, &tensor, 0, 0, tensor.shape[0], tensor.shape[1]});
    }
  }
  if (matrices_.empty()) throw UsageError("--type int4 and fp8: the model has no experts");
}

void CodedExperts::add_stack(const ExportTensor& tensor) {
  const std::string prefix = tensor.name.substr(0, tensor.name.rfind('.') + 1);
  const int64_t in = tensor.shape[1];
  const int64_t out = tensor.shape[2];
  for (int64_t e = 0; e < tensor.shape[0]; ++e) {
    const std::string name = str(prefix, e, ".");
    if (tensor.role == Role::kMlpOut) {
      add({name + "down_proj.weight", &tensor, e, 0, out, in});
      continue;
    }
    add({name + "gate_proj.weight", &tensor, e, 0, out / 2, in});
    add({name + "up_proj.weight", &tensor, e, out / 2, out / 2, in});
  }
}

void CodedExperts::add(Matrix matrix) {
  if (coding_ == ExpertCoding::kInt4 && matrix.in % kCodesPerWord != 0) {
    throw NotSupported(
        str(matrix.name, ": int4 needs rows that are multiples of eight, not ", matrix.in));
  }
  matrices_.push_back(std::move(matrix));
}

int64_t CodedExperts::groups(const Matrix& matrix) const {
  return coding_ == ExpertCoding::kInt4 ? matrix.in / quant::int4_group(matrix.in) : 1;
}

int64_t CodedExperts::size_bytes(const Matrix& matrix) const {
  const int64_t scales = matrix.out * groups(matrix) * int64_t{sizeof(float)};
  if (coding_ == ExpertCoding::kFp8) return matrix.out * matrix.in + scales;
  return matrix.out * matrix.in / 2 + scales + kShapeBytes;
}

int64_t CodedExperts::size_bytes() const {
  int64_t bytes = 0;
  for (const Matrix& matrix : matrices_) bytes += size_bytes(matrix);
  return bytes;
}

void CodedExperts::declare(io::ShardedSafetensorsWriter& writer) const {
  for (const Matrix& matrix : matrices_) {
    if (coding_ == ExpertCoding::kFp8) {
      writer.declare(matrix.name, DType::kU8, {matrix.out, matrix.in}, kF8Type);
    } else {
      writer.declare(matrix.name + "_packed", DType::kI32, {matrix.out, matrix.in / kCodesPerWord});
    }
    writer.declare(matrix.name + "_scale", DType::kF32, {matrix.out, groups(matrix)});
    if (coding_ == ExpertCoding::kInt4) writer.declare(matrix.name + "_shape", DType::kI64, {2});
  }
}

LinearWeight CodedExperts::encode(const Matrix& matrix, const Tensor& part) const {
  const LinearWeight floats = part.rank() == 3
                                  ? LinearWeight::in_out(part, matrix.first, matrix.out)
                                  : LinearWeight::out_in(part);
  return coding_ == ExpertCoding::kInt4 ? quant::encode_int4(floats) : quant::encode_f8(floats);
}

void CodedExperts::write(io::ShardedSafetensorsWriter& writer, const Matrix& matrix,
                         const LinearWeight& codes) const {
  if (coding_ == ExpertCoding::kFp8) {
    writer.write(matrix.name, codes.data.view({matrix.out, matrix.in}));
  } else {
    writer.write(matrix.name + "_packed",
                 reinterpret(codes.data, DType::kI32, {matrix.out, matrix.in / kCodesPerWord}));
  }
  writer.write(matrix.name + "_scale", codes.scales.view({matrix.out, groups(matrix)}));
  if (coding_ == ExpertCoding::kFp8) return;
  Tensor shape({2}, DType::kI64, codes.data.device());
  shape.mutable_data<int64_t>()[0] = matrix.out;
  shape.mutable_data<int64_t>()[1] = matrix.in;
  writer.write(matrix.name + "_shape", shape);
}

void CodedExperts::write(io::ShardedSafetensorsWriter& writer,
                         const ExportProgress& progress) const {
  const int64_t total = size_bytes();
  int64_t done = 0;
  std::pair<const ExportTensor*, int64_t> held = {nullptr, 0};  // gate and up share a part
  Tensor part;
  for (const Matrix& matrix : matrices_) {
    if (held != std::pair(matrix.source, matrix.part)) {
      held = {matrix.source, matrix.part};
      part = Tensor();  // before the next takes its memory
      part = matrix.source->shape.rank() == 3 ? matrix.source->make(matrix.part)
                                              : joined(*matrix.source);
    }
    try {
      write(writer, matrix, encode(matrix, part));
    } catch (const IoError&) {
      throw;
    } catch (const Error& error) {
      throw Error(str(matrix.name, ": ", error.what()));
    }
    done += size_bytes(matrix);
    if (progress) progress(done, total);
  }
}

std::string CodedExperts::config_json(const Config& config) const {
  Json json = Json::parse(model::config_json(config));
  const char* format = coding_ == ExpertCoding::kInt4 ? "pack-quantized" : "float-quantized";
  json["quantization_config"] = {
      {"quant_method", "compressed-tensors"},
      {"format", format},
      {"quantization_status", "compressed"},
      {"config_groups",
       {{"group_0",
         {{"targets", {"Linear"}},
          {"weights", scheme(coding_, quant::int4_group(config.hidden_size))},
          {"input_activations", activations(coding_)}}}}},
      {"ignore",
       {"lm_head", "re:.*lm_head", "re:.*self_attn.*", "re:.*router", "re:.*vision_model.*",
        "re:.*multi_modal_projector.*", "re:.*feed_forward.(gate|up|down)_proj$"}}};
  return json.dump(2) + "\n";
}

}  // namespace corral::model
