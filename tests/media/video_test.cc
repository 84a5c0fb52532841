#include "media/video.h"

#include <cmath>
#include <fstream>

#include "media/support.h"

namespace corral::media {
namespace {

// tests/data/media/seconds.*: four seconds of ten frames, a key frame each second (the GIF: three
// frames of a second). In second n the right half is grey 50 + 50 n, the left half 20 darker.
std::string video(const std::string& file) { return read_bytes(test::data_dir() / "media" / file); }

std::vector<VideoFrame> sample(const std::string& file, const VideoOptions& options = {},
                               const VideoLimits& limits = {}) {
  return sample_video(as_bytes(file), "picture", options, limits);
}

int grey_at(const Image& image, int64_t x, int64_t y) {
  return image.rgb[static_cast<size_t>((y * image.width + x) * 3)];
}

int shown_grey(double seconds, int grey) {
  return grey + 50 * static_cast<int>(std::floor(seconds));
}

class SecondsVideo : public testing::TestWithParam<const char*> {};

TEST_P(SecondsVideo, GivesTheMiddleOfEqualPieces) {
  const auto frames = sample(video(GetParam()), {.frames = 4});
  ASSERT_EQ(frames.size(), 4);
  for (size_t i = 0; i < frames.size(); ++i) {
    EXPECT_NEAR(frames[i].seconds, 0.5 + static_cast<double>(i), 0.11);
    ASSERT_EQ(frames[i].image.width, 64);
    ASSERT_EQ(frames[i].image.height, 48);
    EXPECT_NEAR(grey_at(frames[i].image, 8, 24), shown_grey(frames[i].seconds, 30), 8);
    EXPECT_NEAR(grey_at(frames[i].image, 56, 24), shown_grey(frames[i].seconds, 50), 8);
  }
}

TEST_P(SecondsVideo, GivesFramesByRate) {
  const auto frames = sample(video(GetParam()), {.frames_per_second = 2.0});
  ASSERT_EQ(frames.size(), 8);
  for (size_t i = 0; i < frames.size(); ++i) {
    EXPECT_NEAR(frames[i].seconds, 0.5 * static_cast<double>(i), 0.11);
    EXPECT_NEAR(grey_at(frames[i].image, 56, 24), shown_grey(frames[i].seconds + 0.01, 50), 8);
  }
}

TEST_P(SecondsVideo, GivesTheSamePicturesForAnyThreads) {
  const auto once = sample(video(GetParam()), {.frames = 5});
  const auto again = sample(video(GetParam()), {.frames = 5, .threads = 3});
  ASSERT_EQ(once.size(), again.size());
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].seconds, again[i].seconds);
    EXPECT_EQ(once[i].image.rgb, again[i].image.rgb);
  }
}

INSTANTIATE_TEST_SUITE_P(Containers, SecondsVideo, testing::Values("seconds.mp4", "seconds.webm"));

TEST(SampleVideo, GivesEachFrameOnceWhenThereAreFew) {
  const auto frames = sample(video("seconds.gif"), {.frames = 50});
  ASSERT_EQ(frames.size(), 3);
  EXPECT_EQ(frames[0].seconds, 0);
  EXPECT_NEAR(frames[2].seconds, 2, 0.01);
  EXPECT_LT(grey_at(frames[0].image, 8, 6), grey_at(frames[1].image, 8, 6));
  EXPECT_LT(grey_at(frames[1].image, 8, 6), grey_at(frames[2].image, 8, 6));
}

TEST(SampleVideo, TakesAnimatedWebpsLikeGifs) {
  const auto frames = sample(video("seconds.webp"), {.frames = 50});
  const auto same = sample(video("seconds.gif"), {.frames = 50});
  ASSERT_EQ(frames.size(), 3);
  for (size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].seconds, static_cast<double>(i));
    EXPECT_EQ(frames[i].image.rgb, same[i].image.rgb);
  }
  const auto last = sample(video("seconds.webp"), {.frames_per_second = 0.5});
  ASSERT_EQ(last.size(), 2);
  EXPECT_EQ(last[1].seconds, 2);
  VideoLimits limits;
  limits.max_animated_pixels = 3 * 16 * 12 - 1;
  EXPECT_THAT(message_of<NotSupported>([&] { sample(video("seconds.webp"), {}, limits); }),
              testing::HasSubstr("3 frames of 16x12 pixels, there may be 2"));
  limits.max_pixels = 16 * 12 - 1;
  EXPECT_THAT(message_of<NotSupported>([&] { sample(video("seconds.webp"), {}, limits); }),
              testing::HasSubstr("16x12 pixels"));
}

// layers.webp: 8x6 of red 200; half transparent green 200 of 4x4 blended at (2, 2), whose place is
// cleared afterwards; blue 200 of 2x2 at (0, 0) without a duration; 2x2 of nothing at (6, 4) that
// replaces what is there.
TEST(SampleVideo, PutsTheLayersOfAnAnimatedWebpTogether) {
  const auto frames = sample(video("layers.webp"), {.frames = 200});
  ASSERT_EQ(frames.size(), 4);
  const auto at = [&](size_t frame, int64_t x, int64_t y) {
    const Image& image = frames[frame].image;
    const auto first = static_cast<size_t>((y * image.width + x) * 3);
    return std::vector<int>(image.rgb.begin() + static_cast<ptrdiff_t>(first),
                            image.rgb.begin() + static_cast<ptrdiff_t>(first + 3));
  };
  using Pixel = std::vector<int>;
  const Pixel red = {200, 0, 0};
  const Pixel white = {255, 255, 255};
  EXPECT_EQ(frames[1].seconds, 0.5);
  EXPECT_EQ(frames[2].seconds, 0.75);
  EXPECT_EQ(frames[3].seconds, 0.85);
  EXPECT_EQ(at(0, 3, 3), red);
  EXPECT_THAT(at(1, 3, 3),
              testing::ElementsAre(testing::AllOf(testing::Ge(98), testing::Le(101)),
                                   testing::AllOf(testing::Ge(99), testing::Le(101)), 0));
  EXPECT_EQ(at(1, 1, 1), red);
  EXPECT_EQ(at(2, 3, 3), white);
  EXPECT_EQ(at(2, 0, 0), (Pixel{0, 0, 200}));
  EXPECT_EQ(at(2, 7, 5), red);
  EXPECT_EQ(at(3, 7, 5), white);
  EXPECT_EQ(at(3, 0, 0), (Pixel{0, 0, 200}));
}

TEST(SampleVideo, RefusesAnAnimatedWebpThatIsCut) {
  const std::string whole = video("layers.webp");
  for (size_t size = 0; size < whole.size(); ++size) {
    try {
      sample(whole.substr(0, size), {.frames = 4});
      ADD_FAILURE() << size;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::StartsWith("picture: "));
    }
  }
}

TEST(SampleVideo, TurnsWhatTheCameraTurned) {
  const auto upright = sample(video("seconds.mp4"), {.frames = 1});
  const auto turned = sample(video("turned.mp4"), {.frames = 1});
  ASSERT_EQ(turned.size(), 1);
  ASSERT_EQ(turned[0].image.width, 48);
  ASSERT_EQ(turned[0].image.height, 64);
  // The file asks for a quarter counterclockwise: the bright right half is on top.
  EXPECT_NEAR(grey_at(turned[0].image, 24, 8), grey_at(upright[0].image, 56, 24), 2);
  EXPECT_NEAR(grey_at(turned[0].image, 24, 56), grey_at(upright[0].image, 8, 24), 2);
}

TEST(SampleVideo, DecodesLittleOfALongVideo) {
  // One picture of the fourth second: the key frame before it, half a second and what the decoder
  // holds back, not the three seconds before.
  VideoLimits limits;
  limits.max_decoded = 24;
  const auto frames =
      sample(video("seconds.mp4"), {.frames = 1, .frames_per_second = std::nullopt}, limits);
  EXPECT_EQ(frames.size(), 1);
  limits.max_decoded = 3;
  EXPECT_THAT(message_of<NotSupported>([&] { sample(video("seconds.mp4"), {}, limits); }),
              testing::HasSubstr("more than 3 frames to decode"));
}

TEST(SampleVideo, SurvivesBeingCutAnywhere) {
  const std::string whole = video("seconds.webm");
  int64_t with_frames = 0;
  for (size_t size = 0; size < whole.size(); size += 131) {
    try {
      with_frames += sample(whole.substr(0, size), {.frames = 2}).empty() ? 0 : 1;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::StartsWith("picture: "));
    }
  }
  EXPECT_GT(with_frames, 0);
}

TEST(SampleVideo, SaysWhatIsNoVideo) {
  EXPECT_THAT(message_of<NotSupported>([] { sample("no video, just words"); }),
              testing::HasSubstr("not a video that can be read"));
  EXPECT_THAT(message_of<NotSupported>([] { sample(""); }),
              testing::HasSubstr("not a video that can be read"));
  // A list of other files is a format of its own in FFmpeg; here it is none.
  EXPECT_THAT(message_of<NotSupported>([] { sample("ffconcat version 1.0\nfile /etc/passwd\n"); }),
              testing::HasSubstr("not a video that can be read"));
  EXPECT_THAT(message_of<NotSupported>([] {
                sample("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1/a.ts\n");
              }),
              testing::HasSubstr("not a video that can be read"));
}

TEST(SampleVideo, NamesOptionsAndLimits) {
  const std::string file = video("seconds.mp4");
  EXPECT_THROW(sample(file, {.frames = 0}), UsageError);
  EXPECT_THROW(sample(file, {.frames = 1000}), UsageError);
  EXPECT_THROW(sample(file, {.frames_per_second = 0.0}), UsageError);
  EXPECT_THROW(sample(file, {.frames_per_second = 1e9}), UsageError);
  VideoLimits limits;
  limits.max_pixels = 64 * 48 - 1;
  EXPECT_THAT(message_of<NotSupported>([&] { sample(file, {}, limits); }),
              testing::HasSubstr("frames of 64x48 pixels"));
}

TEST(SampleVideo, MatchesTheStillsOfTheVideosAtHand) {
  if (!test::shared_dir()) GTEST_SKIP() << "needs ../shared/data/vision/videos";
  const auto folder = *test::shared_dir() / "data/vision";
  std::ifstream lines(folder / "videos.jsonl");
  for (std::string text; std::getline(lines, text);) {
    const auto entry = nlohmann::json::parse(text);
    const auto frames = sample(read_bytes(folder / entry["video"].get<std::string>()),
                               {.frames_per_second = entry["frames_per_second"].get<double>()});
    const auto& stills = entry["frames"];
    ASSERT_GE(frames.size(), stills.size());
    for (size_t i = 0; i < stills.size(); ++i) {
      const Image still = decode(read_bytes(folder / stills[i].get<std::string>()));
      // The stills are smaller and were compressed again: compare the mean brightness.
      const auto mean = [](const Image& image) {
        double sum = 0;
        for (const uint8_t v : image.rgb) sum += v;
        return sum / static_cast<double>(image.rgb.size());
      };
      EXPECT_NEAR(mean(frames[i].image), mean(still), 6) << entry["video"] << " " << i;
    }
  }
}

}  // namespace
}  // namespace corral::media
