#include "base/streamed_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>

#include "base/error.h"
#include "support/temp_dir.h"

namespace corral {
namespace {

using test::TempDir;
using testing::HasSubstr;

std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7 + i / 251);
  return text;
}

TEST(StreamedFile, HoldsWhatWasWrittenInWhateverPieces) {
  const TempDir dir;
  const auto path = dir.path() / "x";
  const std::string text = pattern(10000);
  for (const size_t buffer : {1, 7, 64, 1000, 9999, 10000, 20000}) {
    for (const size_t piece : {1, 63, 64, 5000, 10000}) {
      StreamedFile file(path, buffer);
      for (size_t at = 0; at < text.size(); at += piece) {
        file.write(std::string_view(text).substr(at, piece));
      }
      EXPECT_EQ(file.position_bytes(), 10000);
      file.commit();
      ASSERT_EQ(read_file(path), text) << buffer << " " << piece;
    }
  }
  StreamedFile(path).commit();
  EXPECT_EQ(read_file(path), "");
}

// Where the file system has no such writes, as in memory, the same comes of it.
TEST(StreamedFile, PastTheCacheItHoldsTheSame) {
  const TempDir dir;
  for (const std::filesystem::path& root : {dir.path(), std::filesystem::path("/dev/shm")}) {
    if (!std::filesystem::is_directory(root)) continue;
    const auto path = root / str("corral-past-cache-", ::getpid());
    const std::string text = pattern(100'000);
    for (const size_t buffer : {size_t{4096}, size_t{8192}, size_t{5000}}) {
      for (const int64_t cached : {0, 10'000, 99'000, 1'000'000}) {
        for (const size_t size : {size_t{98'304}, text.size()}) {
          StreamedFile file(path, buffer, cached);
          for (size_t at = 0; at < size; at += 3000) {
            file.write(std::string_view(text).substr(at, std::min<size_t>(3000, size - at)));
          }
          file.commit();
          EXPECT_TRUE(read_file(path) == text.substr(0, size)) << root << buffer << " " << cached;
        }
      }
    }
    std::filesystem::remove(path);
  }
}

TEST(StreamedFile, WithoutCommitNothingAppears) {
  const TempDir dir;
  for (const size_t size : {0, 10, 1000}) {
    StreamedFile file(dir.path() / "x", 16);
    file.write(pattern(size));
  }
  EXPECT_EQ(std::filesystem::directory_iterator(dir.path()), std::filesystem::directory_iterator());
}

TEST(StreamedFile, AnErrorOfTheWriterReachesTheCallerAndNothingStays) {
  const TempDir dir;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const struct rlimit low { 5000, old.rlim_max };
  ::setrlimit(RLIMIT_FSIZE, &low);
  for (const bool much : {true, false}) {
    std::string message;
    try {
      // Much is noticed by a later write(), little only at the end.
      StreamedFile file(dir.path() / "x", 4000);
      file.write(pattern(much ? 1'000'000 : 8100));
      EXPECT_FALSE(much);
      file.commit();
    } catch (const IoError& error) {
      message = error.what();
    }
    EXPECT_THAT(message, HasSubstr("cannot write"));
    EXPECT_THAT(message, HasSubstr((dir.path() / "x").string()));
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(std::filesystem::directory_iterator(dir.path()), std::filesystem::directory_iterator());
}

}  // namespace
}  // namespace corral
