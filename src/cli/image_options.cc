#include "cli/image_options.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "engine/image_prompt.h"

namespace corral::cli {
void ImageOptions::add_to(CLI::App& command) {
  command.add_option("--image", files_,
                     "picture to look at (JPEG, PNG, WebP, GIF, BMP); may be given again");
  command.add_option("--max-images", most_, "most pictures of a conversation")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str();
  command.add_option("--mmproj", mmproj_,
                     "image projector file of a GGUF model (default: the one beside it)");
}

Pictures::Pictures(const model::LoadedModel& loaded, quant::Precision precision, int64_t most)
    : loaded_(loaded), most_(most) {
  options_.precision = precision;
}

void ImageOptions::add_video_to(CLI::App& command) {
  command.add_option("--video", video_, "video to look at, as frames with their times");
  auto* frames = command
                     .add_option("--frames", frames_,
                                 "how many, evenly spaced (default: all pictures that are left)")
                     ->check(CLI::Range(int64_t{1}, int64_t{256}));
  command.add_option("--fps", frames_per_second_, "instead: frames a second from the begin on")
      ->check(CLI::PositiveNumber)
      ->excludes(frames);
}

media::VideoOptions ImageOptions::frames(int64_t room) const {
  return {.frames = frames_.value_or(room), .frames_per_second = frames_per_second_};
}

engine::ImageEncoder& Pictures::encoder() {
  if (!encoder_) {
    encoder_ = std::make_unique<engine::ImageEncoder>(loaded_.need_vision(), options_);
  }
  return *encoder_;
}

text::ContentItem Pictures::show(const std::string& file) {
  if (static_cast<int64_t>(shown_.size()) >= most_) {
    throw UsageError(str(file, ": more than ", most_, " pictures: raise --max-images"));
  }
  shown_.push_back(encoder().encode_file(file));
  return {text::ContentItem::Kind::kImage, file};
}

std::vector<text::ContentItem> Pictures::show_video(const std::string& name,
                                                    const ImageOptions& options) {
  engine::ImageEncoder& eyes = encoder();  // a model without is known before decoding
  const int64_t room = most_ - static_cast<int64_t>(shown_.size());
  const media::VideoOptions wanted = options.frames(room);
  const auto too_many = [&](int64_t frames) {
    return UsageError(str(name, ": ", frames, " frames, but ", room,
                          " more pictures are allowed: ", "raise --max-images or take fewer"));
  };
  if (room < 1 || wanted.frames > room) throw too_many(std::max(wanted.frames, int64_t{1}));
  const auto file = MappedFile::open(name);
  const auto frames = media::sample_video(file->bytes(), name, wanted);
  const auto count = static_cast<int64_t>(frames.size());
  if (count > room) throw too_many(count);
  std::vector<text::ContentItem> content;
  std::vector<engine::EncodedImagePtr> encoded;
  for (const media::VideoFrame& frame : frames) {
    engine::add_frame(content, name, frame.seconds);
    encoded.push_back(eyes.encode(frame.image));
  }
  shown_.insert(shown_.end(), encoded.begin(), encoded.end());
  return content;
}

}  // namespace corral::cli
