#include "model/streamed_model.h"

#include <utility>

#include "base/error.h"
#include "model/export_source.h"
#include "model/meta_checkpoint.h"
#include "model/vision/vision_checkpoint.h"

namespace corral::model {

StreamedModel::StreamedModel(const std::filesystem::path& path, const DevicePtr& device,
                             const std::filesystem::path& mmproj)
    : device_(device) {
  if (std::filesystem::is_directory(path) && is_meta_checkpoint(path) && mmproj.empty()) {
    OpenedFolder folder = open_folder(path);
    source_ = folder.source;
    config_ = std::move(folder.config);
    name_ = std::move(folder.name);
    tokenizer_ = std::move(folder.tokenizer);
    vision_ = folder.vision;
  } else {
    loaded_ = load_model(path, device, mmproj);
    source_ = loaded_->source;
    config_ = loaded_->model.config();
    name_ = loaded_->name;
    tokenizer_ = loaded_->tokenizer;
    if (loaded_->vision) vision_ = loaded_->vision->config();
  }
  if (vision_) set_vision_config(config_, *vision_);
}

std::vector<ExportTensor> StreamedModel::tower() const {
  return loaded_ ? hf_vision_tensors(vision_.value(), loaded_->need_vision()->weights())
                 : hf_vision_tensors(vision_.value(), *source_, device_);
}

std::vector<ExportTensor> StreamedModel::hf(ExpertCoding coding) const {
  if (loaded_ && coding != ExpertCoding::kNone) need_float_experts(loaded_->model.weights());
  std::vector<ExportTensor> list = loaded_ ? hf_tensors(config_, loaded_->model.weights())
                                           : hf_tensors(config_, *source_, device_);
  if (!vision_) return list;
  for (ExportTensor& tensor : tower()) list.push_back(std::move(tensor));
  return list;
}

std::vector<ExportTensor> StreamedModel::gguf() const {
  return loaded_ ? gguf_tensors(config_, loaded_->model.weights())
                 : gguf_tensors(config_, *source_, device_);
}

}  // namespace corral::model
