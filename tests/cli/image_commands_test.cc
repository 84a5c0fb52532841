// Pictures on the command line: run, chat, convert, debug logits.

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "cli/run_corral.h"
#include "engine/image_fixture.h"
#include "io/safetensors.h"
#include "model/hf_checkpoint.h"
#include "model/tiny_model.h"
#include "support/paths.h"
#include "support/temp_dir.h"
#include "text/tokenizer_files.h"

namespace corral::cli {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

// A random model with eyes and a tokenizer that has the tokens of images.
class ImageCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    const DevicePtr device = Device::cpu({.threads = 1});
    model::Config config = test::tiny_config();
    const model::TextModel text = test::tiny_model(config, device);
    const auto tokenizer = engine::fixture::sighted_tokenizer();
    model::VisionConfig vision = engine::fixture::tiny_vision(config);
    vision.image_token = *tokenizer->special_id(text::special::kPatch);
    model::set_vision_config(config, vision);
    const auto tower =
        model::VisionTower::trainable(vision, model::initialise_vision(vision, 1, device));
    model::save_hf(path("seeing"), config, text.weights(), DType::kF32, int64_t{1} << 30, &tower);
    text::save_tokenizer(*tokenizer, path("seeing"));
    write_file_atomically(path("red.bmp"), engine::fixture::picture(8, 8, 255, 0, 0));
    write_file_atomically(path("blue.bmp"), engine::fixture::picture(8, 8, 0, 0, 255));
  }

  std::string path(const std::string& name) const { return (dir.path() / name).string(); }
  Json ask(const std::string& model, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"run",    path(model), "-p",     "what?", "-n", "6",
                                          "--temp", "0",         "--json", "-t",    "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = corral(arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    return Json::parse(result.out);
  }
  test::TempDir dir;
};

TEST_F(ImageCommands, RunLooksAtPictures) {
  const Json red = ask("seeing", {"--chat", "--image", path("red.bmp")});
  const Json blue = ask("seeing", {"--chat", "--image", path("blue.bmp")});
  const Json none = ask("seeing", {"--chat"});
  EXPECT_EQ(red["prompt_tokens"].get<int>(), none["prompt_tokens"].get<int>() + 7);
  EXPECT_NE(red["tokens"], blue["tokens"]);
  const Json both =
      ask("seeing", {"--chat", "--image", path("red.bmp"), "--image", path("blue.bmp")});
  EXPECT_EQ(both["prompt_tokens"].get<int>(), none["prompt_tokens"].get<int>() + 14);
  // Without a chat: the picture, then the text to continue.
  EXPECT_EQ(ask("seeing", {"--image", path("red.bmp")})["prompt_tokens"], 1 + 7 + 5);
}

TEST_F(ImageCommands, RunLooksAtVideos) {
  const std::string video = test::data_dir() / "media/seconds.mp4";
  const int none = ask("seeing", {"--chat"})["prompt_tokens"];
  // The tokenizer has bytes only: a frame of this model's one tile or more, and its words.
  const Json two = ask("seeing", {"--chat", "--video", video, "--frames", "2"});
  const Json four = ask("seeing", {"--chat", "--video", video, "--frames", "4"});
  const int frame = (two["prompt_tokens"].get<int>() - none) / 2;
  EXPECT_GT(frame, static_cast<int>(std::string("Frame at 0:01.0:\n").size()));
  EXPECT_EQ(four["prompt_tokens"].get<int>(), none + 4 * frame);
  // Eight by rate, which is the budget, and one more than allowed.
  EXPECT_EQ(ask("seeing", {"--chat", "--video", video, "--fps", "2"})["prompt_tokens"].get<int>(),
            none + 8 * frame);
  const Result many =
      corral({"run", path("seeing"), "-p", "x", "--chat", "--video", video, "--frames", "9"});
  EXPECT_EQ(many.status, 2);
  EXPECT_THAT(many.err, HasSubstr("seconds.mp4: 9 frames, but 8 more pictures are allowed"));
  const Result no_video =
      corral({"run", path("seeing"), "-p", "x", "--chat", "--video", path("red.bmp")});
  EXPECT_EQ(no_video.status, 1);
  EXPECT_THAT(no_video.err, HasSubstr("red.bmp: not a video that can be read"));
}

TEST_F(ImageCommands, ChatLooksAtPictures) {
  const std::vector<std::string> chat = {"chat", path("seeing"), "-n", "6", "--temp",
                                         "0",    "-t",           "1"};
  const std::string wanted = ask("seeing", {"--chat", "--image", path("red.bmp")})["text"];
  EXPECT_EQ(corral(chat, "/image " + path("red.bmp") + "\nwhat?\n").out, wanted + "\n");
  auto shown = chat;
  shown.insert(shown.end(), {"--image", path("red.bmp")});
  EXPECT_EQ(corral(shown, "what?\n").out, wanted + "\n");

  const Result wrong = corral(chat, "/image nothing.png\n/image\n/quit\n");
  EXPECT_EQ(wrong.status, 0);
  EXPECT_THAT(wrong.err, HasSubstr("nothing.png"));
  EXPECT_THAT(wrong.err, HasSubstr("/image needs a file name"));

  corral(chat, "/image " + path("red.bmp") + "\nwhat?\n/save " + path("talk.json") + "\n");
  const Json saved = Json::parse(read_file(path("talk.json")));
  EXPECT_EQ(saved["messages"][0]["content"][0]["image_url"]["url"], path("red.bmp"));
  EXPECT_EQ(saved["messages"][0]["content"][1]["text"], "what?");
}

TEST_F(ImageCommands, ChatLooksAtVideos) {
  const std::string video = test::data_dir() / "media/seconds.mp4";
  const std::vector<std::string> chat = {"chat", path("seeing"), "-n", "6",        "--temp",
                                         "0",    "-t",           "1",  "--frames", "3"};
  const std::string wanted = ask("seeing", {"--chat", "--video", video, "--frames", "3"})["text"];
  EXPECT_EQ(corral(chat, "/video " + video + "\nwhat?\n").out, wanted + "\n");
  auto shown = chat;
  shown.insert(shown.end(), {"--video", video});
  EXPECT_EQ(corral(shown, "what?\n").out, wanted + "\n");

  // What cannot be shown changes nothing: the third video finds room for two frames only.
  const std::string twice = "/video " + video + "\n/video " + video + "\n";
  const Result full = corral(chat, "/video\n/video red.mp4\n" + twice + "/video " + video +
                                       "\nwhat?\n/save " + path("talk.json") + "\n");
  EXPECT_EQ(full.status, 0);
  EXPECT_THAT(full.err, HasSubstr("/video needs a file name"));
  EXPECT_THAT(full.err, HasSubstr("red.mp4"));
  EXPECT_THAT(full.err, HasSubstr("3 frames, but 2 more pictures are allowed"));
  const Json saved = Json::parse(read_file(path("talk.json")));
  int frames = 0;
  for (const Json& item : saved["messages"][0]["content"]) {
    frames += item["type"] == "image_url" ? 1 : 0;
  }
  EXPECT_EQ(frames, 6);
}

TEST_F(ImageCommands, ConvertCarriesTheTowerToGgufAndBack) {
  const Json wanted = ask("seeing", {"--chat", "--image", path("red.bmp")});
  EXPECT_EQ(corral({"convert", path("seeing"), path("m.gguf"), "--type", "f32"}).status, 0);
  EXPECT_TRUE(std::filesystem::exists(path("mmproj-m.gguf")));
  EXPECT_EQ(ask("m.gguf", {"--chat", "--image", path("red.bmp")})["tokens"], wanted["tokens"]);
  EXPECT_EQ(corral({"convert", path("m.gguf"), path("again"), "--type", "f32"}).status, 0);
  EXPECT_EQ(read_file(path("again/model.safetensors")),
            read_file(path("seeing/model.safetensors")));

  std::filesystem::rename(path("mmproj-m.gguf"), path("eyes.gguf"));
  EXPECT_EQ(ask("m.gguf",
                {"--chat", "--image", path("red.bmp"), "--mmproj", path("eyes.gguf")})["tokens"],
            wanted["tokens"]);
  const Result blind =
      corral({"run", path("m.gguf"), "-p", "x", "--chat", "--image", path("red.bmp")});
  EXPECT_EQ(blind.status, 2);
  EXPECT_THAT(blind.err, HasSubstr("does not see images: name its projector file with --mmproj"));
  EXPECT_EQ(std::count(blind.err.begin(), blind.err.end(), '\n'), 1);
}

TEST_F(ImageCommands, RefusesMorePicturesThanAllowed) {
  const Result result = corral({"run", path("seeing"), "-p", "x", "--chat", "--max-images", "1",
                                "--image", path("red.bmp"), "--image", path("blue.bmp")});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("blue.bmp: more than 1 pictures: raise --max-images"));
}

TEST(DebugLogits, GivesTheReferencesImagesFromTheirFiles) {
  const auto shared = test::shared_dir();
  if (!shared) GTEST_SKIP() << "../shared/goldens is not here";
  const auto golden = *shared / "goldens/vision-tiny";
  const DevicePtr device = Device::cpu();
  const io::SafetensorsFile wanted(golden / "cases.safetensors");
  const test::TempDir dir;
  for (const bool pieces : {false, true}) {
    std::vector<std::string> arguments = {"debug",
                                          "logits",
                                          golden.string(),
                                          "--cases",
                                          (golden / "cases.json").string(),
                                          "--out",
                                          (dir.path() / "out.safetensors").string(),
                                          "--trace"};
    if (pieces) arguments.insert(arguments.end(), {"--piece", "5"});
    const Result result = corral(arguments);
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(Json::parse(result.out)["output"],
              Json::parse(read_file(golden / "cases.json"))["greedy"]["output"]);
    const io::SafetensorsFile got(dir.path() / "out.safetensors");
    for (const io::TensorInfo& info : wanted.tensors()) {
      if (info.name == "greedy.logits") continue;
      const Tensor a = got.get(info.name, device);
      const Tensor b = wanted.get(info.name, device);
      ASSERT_EQ(a.shape(), b.shape()) << info.name;
      if (a.dtype() == DType::kI32) {
        EXPECT_TRUE(std::equal(a.values<int32_t>().begin(), a.values<int32_t>().end(),
                               b.values<int32_t>().begin()))
            << info.name;
        continue;
      }
      const bool tiles = info.name.ends_with(".tiles");
      const double bound = tiles ? 0 : info.name.ends_with(".logits") ? 2e-4 : 5e-5;
      double worst = 0;
      for (int64_t i = 0; i < a.numel(); ++i) {
        worst = std::max(worst, std::abs(static_cast<double>(a.data<float>()[i]) -
                                         static_cast<double>(b.data<float>()[i])));
      }
      EXPECT_LE(worst, bound) << info.name;
    }
  }
}

}  // namespace
}  // namespace corral::cli
