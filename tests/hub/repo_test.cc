#include "hub/repo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "hub/url.h"

namespace corral::hub {
namespace {

std::vector<std::string> selected(const std::vector<std::string>& paths,
                                  const std::vector<std::string>& include = {}) {
  std::vector<RepoFile> files;
  for (const std::string& path : paths) files.push_back({path, 1, {}});
  std::vector<std::string> result;
  for (const RepoFile& file : select_files(files, include, "org/model")) {
    result.push_back(file.path);
  }
  return result;
}

TEST(SelectFiles, LeavesCopiesOfTheWeightsOut) {
  EXPECT_EQ(selected({"config.json", "model.safetensors", "original/consolidated.00.pth",
                      "pytorch_model.bin"}),
            (std::vector<std::string>{"config.json", "model.safetensors"}));
  EXPECT_EQ(selected({"params.json", "consolidated.00.pth"}).size(), 2u);
}

TEST(SelectFiles, AsksForAChoiceAmongGgufModels) {
  EXPECT_EQ(selected({"README.md", "m-Q4_K.gguf", "mmproj-m.gguf"}).size(), 3u);
  EXPECT_EQ(selected({"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}).size(), 2u);
  try {
    selected({"m-Q4_K.gguf", "m-Q8_0.gguf"});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("m-Q4_K.gguf, m-Q8_0.gguf"));
  }
  EXPECT_EQ(selected({"m-Q4_K.gguf", "m-Q8_0.gguf"}, {"*Q8*"}),
            (std::vector<std::string>{"m-Q8_0.gguf"}));
  EXPECT_THROW(selected({"a.gguf"}, {"*.txt"}), UsageError);
  EXPECT_THROW(selected({}), UsageError);
}

TEST(Matches, KnowsStarsAndQuestionMarks) {
  EXPECT_TRUE(matches("sub/a.gguf", "*.gguf"));
  EXPECT_TRUE(matches("sub/a.gguf", "a.*"));
  EXPECT_TRUE(matches("sub/a.gguf", "sub/?.gguf"));
  EXPECT_FALSE(matches("sub/a.gguf", "a"));
  EXPECT_FALSE(matches("a", ""));
  EXPECT_TRUE(matches(std::string(2000, 'a') + "b", "*a*a*a*a*b"));
  EXPECT_FALSE(matches(std::string(2000, 'a'), "*a*a*a*a*b"));
}

TEST(Url, KnowsOrigins) {
  EXPECT_EQ(origin_of("HTTPS://Hub.Example/x?y"), "https://hub.example:443");
  EXPECT_EQ(origin_of("http://hub:8080"), "http://hub:8080");
  EXPECT_THROW(origin_of("file:///x"), UsageError);
  EXPECT_TRUE(is_confidential("https://example.com"));
  EXPECT_TRUE(is_confidential("http://127.0.0.1:1"));
  EXPECT_FALSE(is_confidential("http://example.com"));
  EXPECT_FALSE(is_loopback("http://127.0.0.1.example.com"));
  EXPECT_FALSE(is_loopback("http://127.evil.com"));
}

TEST(Url, ResolvesRedirectsAndRefusesTheWayDown) {
  EXPECT_EQ(redirect_target("https://a/b/c?d", "/e"), "https://a/e");
  EXPECT_EQ(redirect_target("https://a/b/c", "d"), "https://a/b/d");
  EXPECT_EQ(redirect_target("http://a/", "https://b/x?y=z"), "https://b/x?y=z");
  EXPECT_THROW(redirect_target("https://a/", "http://a/"), Error);
}

TEST(Url, EncodesWhatIsNotPlain) {
  EXPECT_EQ(url_encode("refs/pr/1"), "refs%2Fpr%2F1");
  EXPECT_EQ(url_encode("a/b c#?\xC3\xA9", Slash::kKeep), "a/b%20c%23%3F%C3%A9");
}

}  // namespace
}  // namespace corral::hub
