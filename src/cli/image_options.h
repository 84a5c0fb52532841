#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/image_encoder.h"
#include "media/video.h"
#include "model/loaded_model.h"
#include "text/chat.h"

namespace corral::cli {

/// --image, --video with its frames, --max-images and --mmproj.
class ImageOptions {
 public:
  void add_to(CLI::App& command);
  /// The options of a video, for commands that take one.
  void add_video_to(CLI::App& command);

  const std::string& mmproj() const { return mmproj_; }
  const std::vector<std::string>& files() const { return files_; }
  const std::string& video() const { return video_; }
  /// Frames that --frames or --fps ask for; neither: as many as pictures are left, `room`.
  media::VideoOptions frames(int64_t room) const;
  int64_t most() const { return most_; }

 private:
  std::vector<std::string> files_;
  std::string video_;
  std::optional<int64_t> frames_;
  std::optional<double> frames_per_second_;
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
  /// Frames of a video, chosen as the options say, each after a line with its time: "Frame at
  /// 1:02.5:". Throws UsageError when there is no room for them, and as media::sample_video; then
  /// none is shown.
  std::vector<text::ContentItem> show_video(const std::string& file, const ImageOptions& options);
  /// Forgets those after the first `count`.
  void keep(size_t count) { shown_.resize(count); }
  const std::vector<engine::EncodedImagePtr>& shown() const { return shown_; }

 private:
  engine::ImageEncoder& encoder();

  const model::LoadedModel& loaded_;
  model::ForwardOptions options_;
  int64_t most_;
  std::unique_ptr<engine::ImageEncoder> encoder_;  // made for the first picture
  std::vector<engine::EncodedImagePtr> shown_;
};

}  // namespace corral::cli
