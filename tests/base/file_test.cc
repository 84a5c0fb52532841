#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "base/error.h"

namespace corral {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "corral_file_test_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const char* name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_))
      found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }

  fs::path folder_;
};

template <class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const IoError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST_F(Files, MappedFileShowsTheBytes) {
  const std::string text = std::string("a\0b", 3) + std::string(10000, 'x');
  const auto file = MappedFile::open(write("data", text));
  ASSERT_EQ(file->bytes().size(), text.size());
  EXPECT_EQ(std::memcmp(file->bytes().data(), text.data(), text.size()), 0);
  EXPECT_EQ(file->path(), folder_ / "data");
}

TEST_F(Files, MappedBytesOutliveTheName) {
  const fs::path path = write("data", "still here");
  const auto file = MappedFile::open(path);
  fs::remove(path);
  EXPECT_EQ(std::memcmp(file->bytes().data(), "still here", 10), 0);
}

/// The flags of the mapping that begins there, "VmFlags: rd mr hg "; nothing where none are told.
std::string mapping_flags(const void* address) {
  char begin[32];
  std::snprintf(begin, sizeof(begin), "%lx-", reinterpret_cast<uintptr_t>(address));
  std::ifstream mappings("/proc/self/smaps");
  bool found = false;
  for (std::string line; std::getline(mappings, line);) {
    found = found || line.starts_with(begin);
    if (found && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

/// Whether a mapping for which large pages were asked shows it: emulators make flags up.
bool large_pages_show() {
  constexpr size_t kBytes = size_t{4} << 20;
  void* const at = ::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return false;
  const bool asked = ::madvise(at, kBytes, MADV_HUGEPAGE) == 0;
  const bool show = asked && mapping_flags(at).find(" hg ") != std::string::npos;
  ::munmap(at, kBytes);
  return show;
}

TEST_F(Files, LargePagesAreAskedForWhereThereAreAny) {
  if (!large_pages_show()) GTEST_SKIP() << "no large pages, or nothing that tells";
  const auto file = MappedFile::open(write("data", std::string(size_t{4} << 20, 'x')));
  EXPECT_THAT(mapping_flags(file->bytes().data()), HasSubstr(" hg "));
}

TEST_F(Files, AnEmptyFileMapsToNoBytes) {
  EXPECT_TRUE(MappedFile::open(write("empty", ""))->bytes().empty());
}

TEST_F(Files, WhatCannotBeReadIsNamedWithTheReason) {
  const fs::path missing = folder_ / "missing";
  const std::string expected = "cannot open " + missing.string() + ": No such file or directory";
  EXPECT_EQ(message_of([&] { MappedFile::open(missing); }), expected);
  EXPECT_EQ(message_of([&] { read_file(missing); }), expected);

  const std::string folder = "cannot read " + folder_.string() + ": not a regular file";
  EXPECT_EQ(message_of([&] { MappedFile::open(folder_); }), folder);
  EXPECT_EQ(message_of([&] { read_file(folder_); }), folder);
}

TEST_F(Files, APipeIsRefusedAtOnceInsteadOfWaitedFor) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(message_of([&] { MappedFile::open(pipe); }), HasSubstr("not a regular file"));
  EXPECT_THAT(message_of([&] { read_file(pipe); }), HasSubstr("not a regular file"));
}

TEST_F(Files, ReadFileReturnsTheWholeTextWithinItsLimit) {
  const fs::path path = write("text", "twelve bytes");
  EXPECT_EQ(read_file(path), "twelve bytes");
  EXPECT_EQ(read_file(path, 12), "twelve bytes");
  EXPECT_EQ(message_of([&] { read_file(path, 11); }),
            "cannot read " + path.string() + ": 12 bytes, more than the limit of 11");
}

TEST_F(Files, AnAtomicFileAppearsOnlyWhenCommitted) {
  const fs::path path = folder_ / "model";
  AtomicFile file(path);
  file.write("first ");
  file.write("second");
  EXPECT_EQ(file.position_bytes(), 12);
  EXPECT_THAT(names(), ElementsAre("model.partial"));
  file.commit();
  EXPECT_THAT(names(), ElementsAre("model"));
  EXPECT_EQ(read_file(path), "first second");
}

TEST_F(Files, AnAbandonedAtomicFileLeavesTheOldOneAlone) {
  const fs::path path = write("model", "old");
  {
    AtomicFile file(path);
    file.write("half of the n");
  }
  EXPECT_THAT(names(), ElementsAre("model"));
  EXPECT_EQ(read_file(path), "old");
}

TEST_F(Files, LeftoversOfACrashAreReplaced) {
  write("model.partial", "longer than what comes now");
  write_file_atomically(folder_ / "model", "new");
  EXPECT_THAT(names(), ElementsAre("model"));
  EXPECT_EQ(read_file(folder_ / "model"), "new");
}

TEST_F(Files, AFullDiskIsNamedAndNothingIsLeftBehind) {
  const fs::path path = write("model", "old");
  fs::create_symlink("/dev/full", folder_ / "model.partial");
  EXPECT_EQ(message_of([&] { write_file_atomically(path, "new"); }),
            "cannot write " + path.string() + ".partial: No space left on device");
  EXPECT_THAT(names(), ElementsAre("model"));
  EXPECT_EQ(read_file(path), "old");
}

TEST_F(Files, ADiskThatFillsUpInTheMiddleLeavesTheOldFile) {
  const fs::path path = write("model", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{100000, 100000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
    const std::string megabyte(1 << 20, 'x');
    const std::string message = message_of([&] { write_file_atomically(path, megabyte); });
    ::_exit(message.find("File too large") != std::string::npos ? 7 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_THAT(names(), ElementsAre("model"));
  EXPECT_EQ(read_file(path), "old");
}

TEST_F(Files, ATargetThatCannotBeReplacedIsNamedAndNothingIsLeftBehind) {
  fs::create_directories(folder_ / "taken" / "inside");
  EXPECT_EQ(message_of([&] { write_file_atomically(folder_ / "taken", "new"); }),
            "cannot write " + (folder_ / "taken").string() + ": Is a directory");
  EXPECT_THAT(names(), ElementsAre("taken"));
}

TEST_F(Files, AMissingFolderIsNamed) {
  const fs::path path = folder_ / "no" / "such" / "folder";
  EXPECT_EQ(message_of([&] { AtomicFile file(path); }),
            "cannot create " + path.string() + ".partial: No such file or directory");
}

}  // namespace
}  // namespace corral
