#include "media/support.h"

namespace corral::media {
namespace {

TEST(DecodeImage, MatchesTheReferenceInEveryPngMode) {
  const auto modes = read_json(golden("modes.json"));
  for (const auto& mode : modes["images"]) {
    const std::string file = mode["file"];
    EXPECT_EQ(sha256_of(decode(read_bytes(golden(file))).rgb), mode["rgb_sha256"]) << file;
    const Image expected = decode(read_bytes(golden(mode["expected"])));
    EXPECT_EQ(sha256_of(expected.rgb), mode["rgb_sha256"]) << mode["expected"];
  }
}

TEST(DecodeImage, MatchesLibjpegTurboInJpeg) {
  const auto images = read_json(golden("images.json"));
  for (const auto& jpeg : images["jpeg"]) {
    const std::string file = jpeg["file"];
    auto path = golden(file);
    if (!std::filesystem::exists(path)) {
      if (!test::shared_dir()) continue;  // the large picture stays outside the repository
      path = *test::shared_dir() / "goldens/preprocess" / file;
    }
    const Image image = decode(read_bytes(path));
    EXPECT_EQ(image.width, jpeg["size"][0]);
    EXPECT_EQ(image.height, jpeg["size"][1]);
    EXPECT_EQ(sha256_of(image.rgb), jpeg["rgb_sha256"]) << file;
  }
}

TEST(DecodeImage, ReadsEveryPhotoAtHand) {
  if (!test::shared_dir()) GTEST_SKIP() << "needs ../shared/data/vision/photos";
  int64_t read = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(*test::shared_dir() / "data/vision/photos")) {
    const Image image = decode(read_bytes(entry.path()), Orientation::kHonour);
    EXPECT_EQ(static_cast<int64_t>(image.rgb.size()), image.width * image.height * 3);
    ++read;
  }
  EXPECT_GT(read, 0);
}

}  // namespace
}  // namespace corral::media
