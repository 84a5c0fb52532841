#include "cli/image_options.h"

#include "base/error.h"

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

text::ContentItem Pictures::show(const std::string& file) {
  if (static_cast<int64_t>(shown_.size()) >= most_) {
    throw UsageError(str(file, ": more than ", most_, " pictures: raise --max-images"));
  }
  if (!encoder_) {
    encoder_ = std::make_unique<engine::ImageEncoder>(loaded_.need_vision(), options_);
  }
  shown_.push_back(encoder_->encode_file(file));
  return {text::ContentItem::Kind::kImage, file};
}

}  // namespace corral::cli
