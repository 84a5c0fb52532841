#include "data/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "support/temp_dir.h"

namespace corral::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int32_t> tokens_of(const TokenFile& file, int64_t document) {
  std::vector<int32_t> out(static_cast<size_t>(file.length(document)));
  file.copy(document, 0, out);
  return out;
}

class TokenFiles : public ::testing::TestWithParam<int64_t> {};

TEST_P(TokenFiles, GiveBackDocumentsAndMasks) {
  const test::TempDir dir;
  const auto path = dir.path() / "a.tokens";
  const auto top = static_cast<int32_t>(GetParam() - 1);
  TokenFileWriter writer(path, GetParam());
  writer.add(std::vector<int32_t>{1, 2, top}, {}, 10);
  writer.add(std::vector<int32_t>{9}, {}, 99);  // nothing to learn from
  writer.add(std::vector<int32_t>{4, 5, 6, 7, 8, 9, 10, 11}, {0, 1, 1, 0, 0, 0, 0, 1}, 20);
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.commit();

  const auto file = TokenFile::open(path);
  EXPECT_EQ(file->documents(), 2);
  EXPECT_EQ(file->tokens(), 11);
  EXPECT_EQ(file->text_bytes(), 30);
  EXPECT_THAT(tokens_of(*file, 0), ElementsAre(1, 2, top));
  EXPECT_THAT(tokens_of(*file, 1), ElementsAre(4, 5, 6, 7, 8, 9, 10, 11));
  std::vector<int32_t> middle(2);
  file->copy(1, 3, middle);
  EXPECT_THAT(middle, ElementsAre(7, 8));
  std::vector<bool> mask;
  for (int64_t i = 0; i < 8; ++i) mask.push_back(file->supervised(1, i));
  EXPECT_THAT(mask, ElementsAre(false, true, true, false, false, false, false, true));
  for (int64_t i = 0; i < 3; ++i) EXPECT_TRUE(file->supervised(0, i));
}

INSTANTIATE_TEST_SUITE_P(TwoAndFourBytes, TokenFiles, ::testing::Values(4096, 65536, 202048));

TEST(TokenFile, RefusesToReadBehindADocument) {
  const test::TempDir dir;
  TokenFileWriter writer(dir.path() / "a.tokens", 100);
  writer.add(std::vector<int32_t>{1, 2, 3}, {}, 3);
  writer.commit();
  const auto file = TokenFile::open(dir.path() / "a.tokens");
  std::vector<int32_t> out(2);
  EXPECT_THROW(file->copy(0, 2, out), Error);
  EXPECT_THROW(file->copy(0, -1, out), Error);
  EXPECT_THROW(file->copy(1, 0, out), Error);
}

TEST(TokenFile, ChangesItsHashWithItsContent) {
  const test::TempDir dir;
  std::vector<uint64_t> hashes;
  for (const int32_t token : {7, 7, 8}) {
    TokenFileWriter writer(dir.path() / "a.tokens", 100);
    writer.add(std::vector<int32_t>{1, token}, {}, 3);
    writer.commit();
    hashes.push_back(TokenFile::open(dir.path() / "a.tokens")->content_hash());
  }
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_NE(hashes[0], hashes[2]);
}

TEST(TokenFile, SurvivesEveryTruncationAndByteFlip) {
  const test::TempDir dir;
  const auto path = dir.path() / "a.tokens";
  {
    TokenFileWriter writer(path, 100);
    writer.add(std::vector<int32_t>{1, 2, 3}, {0, 1, 1}, 3);
    writer.add(std::vector<int32_t>{4, 5}, {}, 3);
    writer.commit();
  }
  std::ifstream in(path, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  const auto put = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  };
  for (size_t size = 0; size < whole.size(); ++size) {
    put(whole.substr(0, size));
    EXPECT_THROW(TokenFile::open(path), CorruptFile) << size;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x80);
    put(flipped);
    try {
      const auto file = TokenFile::open(path);
      for (int64_t d = 0; d < file->documents(); ++d) {
        for (int64_t i = 0; i < file->length(d); ++i) file->supervised(d, i);
        tokens_of(*file, d);
      }
    } catch (const CorruptFile& error) {
      EXPECT_THAT(error.what(), HasSubstr("delete it"));
    }
  }
}

}  // namespace
}  // namespace corral::data
