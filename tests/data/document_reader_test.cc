#include "data/document_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <fstream>
#include <string>

#include "base/error.h"
#include "support/temp_dir.h"

namespace corral::data {
namespace {

using ::testing::HasSubstr;

void put(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string zstd(const std::string& text) {
  ZSTD_CCtx* encoder = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(encoder, ZSTD_c_checksumFlag, 1);
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress2(encoder, out.data(), out.size(), text.data(), text.size()));
  ZSTD_freeCCtx(encoder);
  return out;
}

std::vector<Document> read_all(std::vector<std::filesystem::path> files) {
  DocumentReader reader(std::move(files));
  std::vector<Document> documents;
  while (auto document = reader.next()) documents.push_back(std::move(*document));
  return documents;
}

std::string error_of(const std::filesystem::path& path) {
  try {
    read_all({path});
  } catch (const CorruptFile& error) {
    return error.what();
  }
  return "no CorruptFile";
}

TEST(DocumentReader, ReadsTextAndChatLinesOfSeveralFiles) {
  const test::TempDir dir;
  put(dir.path() / "a.jsonl",
      "{\"text\": \"One.\", \"source\": \"s\", \"easy\": 0.5}\n\n{\"text\": \"T\\u00e9\"}");
  put(dir.path() / "b.jsonl.zst", zstd("{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, "
                                       "{\"role\": \"assistant\", \"content\": \"Hello\"}]}\n"));
  const auto documents = read_all({dir.path() / "a.jsonl", dir.path() / "b.jsonl.zst"});
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[0].text, "One.");
  EXPECT_EQ(documents[0].source, "s");
  EXPECT_FALSE(documents[0].is_chat());
  EXPECT_EQ(documents[1].text, "T\u00e9");
  EXPECT_TRUE(documents[2].is_chat());
  EXPECT_EQ(documents[2].messages[1], (Message{"assistant", "Hello"}));
}

TEST(DocumentReader, ReadsLinesLongerThanItsBufferAndSeveralZstdFrames) {
  const test::TempDir dir;
  const std::string big(1'000'000, 'x');
  put(dir.path() / "a.jsonl.zst", zstd("{\"text\": \"" + big) + zstd("\"}\n{\"text\": \"end\"}\n"));
  const auto documents = read_all({dir.path() / "a.jsonl.zst"});
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[0].text, big);
  EXPECT_EQ(documents[1].text, "end");
}

TEST(DocumentReader, TakesATextFileAsOneDocumentAndCutsAHugeOneAtBlankLines) {
  const test::TempDir dir;
  put(dir.path() / "small.txt", "Line one.\n\nLine two.\n");
  EXPECT_EQ(read_all({dir.path() / "small.txt"}).at(0).text, "Line one.\n\nLine two.\n");

  std::string huge;
  while (huge.size() < static_cast<size_t>(kMaxTextDocumentBytes) + 1000) {
    huge += "A paragraph of the book.\nIts second line.\n\n";
  }
  put(dir.path() / "huge.txt", huge);
  const auto parts = read_all({dir.path() / "huge.txt"});
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_TRUE(parts[0].text.ends_with("\n\n"));
  EXPECT_LE(static_cast<int64_t>(parts[0].text.size()), kMaxTextDocumentBytes);
  EXPECT_EQ(parts[0].text + parts[1].text, huge);
}

TEST(DocumentReader, NeverCutsACharacterOfATextWithoutLines) {
  const test::TempDir dir;
  std::string huge = "x";  // odd, so that the limit falls inside a two-byte character
  while (huge.size() < static_cast<size_t>(kMaxTextDocumentBytes) + 1000) huge += "\u00e9";
  put(dir.path() / "huge.txt", huge);
  const auto parts = read_all({dir.path() / "huge.txt"});
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].text + parts[1].text, huge);
}

TEST(DocumentReader, NamesFileAndLineOfWhatIsWrong) {
  const test::TempDir dir;
  const auto path = dir.path() / "bad.jsonl";
  const std::string good = "{\"text\": \"fine\"}\n";
  put(path, good + "{\"text\": \n");
  EXPECT_THAT(error_of(path), HasSubstr("bad.jsonl:2"));
  put(path, good + good + "{\"txt\": \"x\"}\n");
  EXPECT_THAT(error_of(path), HasSubstr("bad.jsonl:3: neither \"text\" nor \"messages\""));
  put(path, "{\"text\": \"\xff\"}\n");
  EXPECT_THAT(error_of(path), HasSubstr("bad.jsonl:1"));
  put(path, "{\"text\": 7}\n");
  EXPECT_THAT(error_of(path), HasSubstr("\"text\" is not a string"));
  put(path, "[1]\n");
  EXPECT_THAT(error_of(path), HasSubstr("not a JSON object"));
  put(path, "{\"messages\": []}\n");
  EXPECT_THAT(error_of(path), HasSubstr("not a list of messages"));
  put(path, "{\"messages\": [{\"role\": \"user\"}]}\n");
  EXPECT_THAT(error_of(path), HasSubstr("needs \"content\" as a string"));
  put(dir.path() / "bad.txt", "fine\nfine\n\xc3\x28\n");
  EXPECT_THAT(error_of(dir.path() / "bad.txt"), HasSubstr("bad.txt:3: not valid UTF-8"));
}

TEST(DocumentReader, RefusesEndlessLines) {
  const test::TempDir dir;
  put(dir.path() / "a.jsonl.zst", zstd(std::string(static_cast<size_t>(kMaxLineBytes) + 1, ' ')));
  EXPECT_THAT(error_of(dir.path() / "a.jsonl.zst"), HasSubstr(":1: a line of more than 67108864"));
}

TEST(DocumentReader, RefusesBrokenAndTruncatedZstdStreams) {
  const test::TempDir dir;
  const auto path = dir.path() / "a.jsonl.zst";
  std::string line = "{\"text\": \"";
  for (int i = 0; i < 5000; ++i) line += std::to_string(i * 7919 % 10007);
  const std::string whole = zstd(line + "\"}\n");
  put(path, whole.substr(0, whole.size() / 2));
  EXPECT_THAT(error_of(path), HasSubstr("ends in the middle of a zstd frame"));
  put(path, "no zstd");
  EXPECT_THAT(error_of(path), HasSubstr("broken zstd data"));
  std::string flipped = whole;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x10);
  put(path, flipped);
  EXPECT_NE(error_of(path), "no CorruptFile");
}

TEST(DocumentReader, SaysWhichNamesItReadsAndWhichFileIsMissing) {
  EXPECT_THROW(DocumentReader({"corpus.csv"}), UsageError);
  EXPECT_THROW(read_all({"/nowhere/a.jsonl"}), IoError);
  const test::TempDir dir;
  put(dir.path() / "empty.jsonl", "");
  put(dir.path() / "empty.txt", "");
  EXPECT_TRUE(read_all({dir.path() / "empty.jsonl", dir.path() / "empty.txt"}).empty());
  EXPECT_TRUE(read_all({}).empty());
}

}  // namespace
}  // namespace corral::data
