#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/image_encoder.h"
#include "model/loaded_model.h"
#include "text/chat.h"

namespace corral::cli {

/// --image, --max-images and --mmproj.
class ImageOptions {
 public:
  void add_to(CLI::App& command);

  const std::string& mmproj() const { return mmproj_; }
  const std::vector<std::string>& files() const { return files_; }
  int64_t most() const { return most_; }

 private:
  std::vector<std::string> files_;
  std::string mmproj_;
  int64_t most_ = 8;  // as many as Llama 4 was tried with
};

/// The pictures of a conversation, in the order in which they were shown.
class Pictures {
 public:
  Pictures(const model::LoadedModel& loaded, quant::Precision precision, int64_t most);

  /// Reads a picture and returns the content item that stands for it. Throws UsageError when the
  /// model does not see or there are too many, and as ImageEncoder::encode_file.
  text::ContentItem show(const std::string& file);
  /// Forgets those after the first `count`.
  void keep(size_t count) { shown_.resize(count); }
  const std::vector<engine::EncodedImagePtr>& shown() const { return shown_; }

 private:
  const model::LoadedModel& loaded_;
  model::ForwardOptions options_;
  int64_t most_;
  std::unique_ptr<engine::ImageEncoder> encoder_;  // made for the first picture
  std::vector<engine::EncodedImagePtr> shown_;
};

}  // namespace corral::cli
