#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors_writer.h"
#include "model/coded_export.h"
#include "model/export.h"
#include "model/hf_checkpoint.h"
#include "model/vision/vision_checkpoint.h"

namespace corral::model {

void save_hf(const std::filesystem::path& dir, const Config& config,
             const std::vector<ExportTensor>& tensors, const HfOptions& options) {
  const DType dtype = options.dtype;
  if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16) {
    throw UsageError(str("a Hugging Face checkpoint holds f32, f16 or bf16, not ", dtype));
  }
  std::optional<CodedExperts> experts;
  if (options.experts != ExpertCoding::kNone) experts.emplace(options.experts, tensors);

  io::ShardedSafetensorsWriter writer(dir, options.max_shard_bytes, {{"format", "pt"}});
  std::vector<ExportTensor> floats;
  int64_t float_bytes = 0;
  const auto bytes = [&](const ExportTensor& t) { return bytes_of(dtype, t.shape.numel()); };
  for (const ExportTensor& tensor : tensors) {
    if (experts && CodedExperts::takes(tensor)) continue;
    writer.declare(tensor.name, dtype, tensor.shape);
    float_bytes += bytes(tensor);
    floats.push_back(tensor);
  }
  if (experts) experts->declare(writer);

  const int64_t total = float_bytes + (experts ? experts->size_bytes() : 0);
  const auto progress_from = [&](int64_t before) -> ExportProgress {
    if (!options.progress) return nullptr;
    return [&options, before, total](int64_t done, int64_t) {
      options.progress(before + done, total);
    };
  };
  write_tensors(floats, bytes, progress_from(0),
                [&](const ExportTensor& tensor, int64_t, const Tensor& values) {
                  writer.write(tensor.name, values);
                });
  if (experts) experts->write(writer, progress_from(float_bytes));
  writer.finish();
  write_file_atomically(dir / "config.json",
                        experts ? experts->config_json(config) : config_json(config));
}

void save_hf(const std::filesystem::path& dir, const Config& config, const TextWeights& weights,
             const HfOptions& options, const VisionTower* vision) {
  if (options.experts != ExpertCoding::kNone) need_float_experts(weights);
  std::vector<ExportTensor> tensors = hf_tensors(config, weights);
  if (vision != nullptr) {
    for (ExportTensor& tensor : hf_vision_tensors(vision->config(), vision->weights())) {
      tensors.push_back(std::move(tensor));
    }
  }
  save_hf(dir, config, tensors, options);
}

void save_hf(const std::filesystem::path& dir, const Config& config, const TextWeights& weights,
             DType dtype, int64_t max_shard_bytes, const VisionTower* vision) {
  save_hf(dir, config, weights, {.dtype = dtype, .max_shard_bytes = max_shard_bytes}, vision);
}

}  // namespace corral::model
