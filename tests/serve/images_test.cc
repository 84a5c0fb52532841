// Pictures and videos over HTTP: where they may come from, what they may cost, what is answered.
#include <gmock/gmock.h>

#include <filesystem>

#include "base/file.h"
#include "serve/image_server_fixture.h"
#include "support/paths.h"
#include "support/temp_dir.h"

namespace corral::serve {
namespace {

using engine::fixture::picture;
using nlohmann::json;
using test::Reply;
using ::testing::HasSubstr;

class Images : public test::SightedServer {
 protected:
  const std::string red = picture(8, 8, 255, 0, 0);
  const std::string blue = picture(8, 8, 0, 0, 255);
  const std::string wide = picture(16, 8, 9, 200, 9);
  static json text(const std::string& words) { return {{"type", "text"}, {"text", words}}; }
};

TEST_F(Images, SeveralPicturesAreSeenAsASessionSeesThem) {
  start();
  const Reply reply = post("/v1/chat/completions",
                           chat({part(data_url(wide)), part(data_url(red)), text("which?")}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["choices"][0]["message"]["content"], alone(ask({wide, red}, "which?")));
  EXPECT_EQ(reply.json()["usage"]["prompt_tokens"], ask({wide, red}, "which?").tokens.size());
}

// CVE class of caches that compare tokens: the placeholders of two pictures are the same.
TEST_F(Images, TheSecondPictureIsNotAnsweredFromTheFirst_FactsRow12) {
  start();
  for (const std::string& file : {red, blue, red}) {
    const Reply reply =
        post("/v1/chat/completions", chat({part(data_url(file)), text("what is it?")}));
    EXPECT_EQ(reply.json()["choices"][0]["message"]["content"], alone(ask({file}, "what is it?")));
  }
}

TEST_F(Images, LowDetailIsOneTile) {
  start();
  const auto tokens = [&](const char* detail) -> int64_t {
    const Reply reply = post("/v1/chat/completions", chat({part(data_url(wide), detail)}));
    return reply.json()["usage"]["prompt_tokens"];
  };
  EXPECT_EQ(tokens("high"), tokens("auto"));
  EXPECT_GT(tokens("high"), tokens("low") + 7);
  EXPECT_THAT(refused({part(data_url(wide), "microscopic")}), HasSubstr("image_url.detail"));
}

TEST_F(Images, FramesOfAVideoComeWithTheirTimes) {
  start();
  const std::string file = read_file(corral::test::data_dir() / "media" / "seconds.mp4");
  const json video = {{"type", "video_url"},
                      {"video_url", {{"url", data_url(file, "video/mp4")}, {"frames", 2}}}};
  const Reply reply = post("/v1/chat/completions", chat({video, text("?")}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const int64_t two = reply.json()["usage"]["prompt_tokens"];
  json one = video;
  one["video_url"]["frames"] = 1;
  const Reply less = post("/v1/chat/completions", chat({one, text("?")}));
  EXPECT_GT(two, less.json()["usage"]["prompt_tokens"].get<int64_t>() + 10);
  one["video_url"]["frames"] = 17;
  EXPECT_THAT(refused({one}), HasSubstr("more than 16 images"));
  one["video_url"]["frames"] = -1;
  EXPECT_THAT(refused({one}), HasSubstr("frames is -1"));
  one["video_url"]["frames"] = 1;
  one["video_url"]["url"] = "data:video/mp4;base64,AAAA";
  EXPECT_THAT(refused({one}), HasSubstr("video 1"));
}

// CVE-2026-22773's class: limits before anything is decoded.
TEST_F(Images, HaveLimitsOfBytesPixelsAndNumber) {
  MediaOptions media;
  media.max_images = 2;
  media.max_file_bytes = 100'000;
  media.max_pixels = 20'000;
  start(media);
  EXPECT_THAT(refused({part(data_url(red)), part(data_url(red)), part(data_url(red))}),
              HasSubstr("3 images, this server takes 2"));
  EXPECT_THAT(refused({part(data_url(picture(200, 120, 9, 9, 9)))}), HasSubstr("pixels"));
  EXPECT_THAT(refused({part(data_url(std::string(100'100, 'x')))}),
              HasSubstr("larger than 100000"));
  // A header that promises 10^9 pixels in a few bytes.
  std::string bomb = red;
  for (const size_t at : {18u, 22u}) bomb.replace(at, 4, std::string("\x00\x7d\x00\x00", 4));
  EXPECT_THAT(refused({part(data_url(bomb))}), HasSubstr("image 1"));
  const Reply fits = post("/v1/chat/completions", chat({part(data_url(red))}));
  EXPECT_EQ(fits.status, 200) << fits.body;
}

TEST_F(Images, NameWhatIsNoPicture) {
  start();
  EXPECT_THAT(refused({part("data:image/png;base64,!!!!")}), HasSubstr("no base64"));
  EXPECT_THAT(refused({part("data:image/png,abc")}), HasSubstr("must be in base64"));
  EXPECT_THAT(refused({part("data:image/png;base64")}), HasSubstr("without data"));
  EXPECT_THAT(refused({part("data:image/png;base64,AAAA")}), HasSubstr("image 1"));
  EXPECT_THAT(refused({part("ftp://example.com/x.png")}), HasSubstr("none of data:"));
  EXPECT_THAT(refused({part("/etc/passwd")}), HasSubstr("none of data:"));
  EXPECT_THAT(refused({{{"type", "image"}}}), HasSubstr("image without a URL"));
  EXPECT_THAT(refused({{{"type", "image"}, {"image", "0"}}}), HasSubstr("none of data:"));
  EXPECT_THAT(refused({{{"type", "input_audio"}}}), HasSubstr("neither text nor image"));
}

TEST_F(Images, AModelThatDoesNotSeeSaysSo) {
  start({}, /*sees=*/false);
  EXPECT_THAT(refused({part(data_url(red))}), HasSubstr("does not see"));
}

TEST_F(Images, FilesComeFromTheShownFolderOnly) {
  const corral::test::TempDir dir;
  std::filesystem::create_directory(dir.path() / "shown");
  std::filesystem::create_directory(dir.path() / "shown-not");
  write_file_atomically(dir.path() / "shown" / "red picture.bmp", red);
  write_file_atomically(dir.path() / "shown-not" / "secret.bmp", blue);
  std::filesystem::create_symlink(dir.path() / "shown-not" / "secret.bmp",
                                  dir.path() / "shown" / "link.bmp");
  start();
  EXPECT_THAT(refused({part("file:///red.bmp")}), HasSubstr("reads no files"));
  TearDown();
  MediaOptions media;
  media.folder = dir.path() / "shown";
  start(media);
  const Reply reply =
      post("/v1/chat/completions", chat({part("file:red%20picture.bmp"), text("?")}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["choices"][0]["message"]["content"], alone(ask({red}, "?")));
  const std::string inside = "file://" + (dir.path() / "shown" / "red%20picture.bmp").string();
  EXPECT_EQ(post("/v1/chat/completions", chat({part(inside)})).status, 200);
  const std::string outside = "file://" + (dir.path() / "shown-not" / "secret.bmp").string();
  for (const std::string& url :
       {std::string("file:../shown-not/secret.bmp"),
        std::string("file:%2e%2e/shown-not/secret.bmp"), std::string("file:link.bmp"),
        std::string("file:///etc/passwd"), std::string("file:."), std::string("file:none.bmp"),
        std::string("file:red%00picture.bmp"), outside}) {
    EXPECT_THAT(refused({part(url)}), HasSubstr("no such file in the folder")) << url;
  }
}

TEST_F(Images, NothingIsFetchedFromPrivateAddresses) {
  start();
  EXPECT_THAT(refused({part("https://example.com/x.png")}), HasSubstr("fetches nothing"));
  TearDown();
  MediaOptions media;
  media.allow_urls = true;
  media.fetch_seconds = 5;
  start(media);
  const std::string port = std::to_string(server->port());
  for (const char* host : {"127.0.0.1", "localhost", "0.0.0.0", "[::1]", "127.1", "2130706433",
                           "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::ffff:127.0.0.1]"}) {
    const std::string url = std::string("http://") + host + ":" + port + "/health";
    EXPECT_THAT(refused({part(url)}), HasSubstr("not one of the public internet")) << host;
  }
  EXPECT_THAT(refused({part("http://user@127.0.0.1/")}), HasSubstr("image 1"));
}

}  // namespace
}  // namespace corral::serve
