#include <sys/resource.h>

#include <csignal>
#include <cstdint>
#include <limits>
#include <vector>

#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "io/support.h"

namespace corral::io {
namespace {

using test::randn;
using test::TempDir;
using test::test_device;
using testing::HasSubstr;

/// While it lives, no file of this process can grow beyond a size: what a full disk looks like.
class FullDisk {
 public:
  explicit FullDisk(rlim_t max_bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &limit_);
    const struct rlimit low { max_bytes, limit_.rlim_max };
    ::setrlimit(RLIMIT_FSIZE, &low);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &limit_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  void (*handler_)(int);
  struct rlimit limit_ {};
};

TEST(Writers, AFullDiskLeavesNoFileBehind) {
  const TempDir dir;
  const Tensor x = randn({4096}, 1);
  const auto safetensors = dir.path() / "x.safetensors";
  const auto gguf = dir.path() / "x.gguf";
  for (const rlim_t max_bytes : {rlim_t{0}, rlim_t{20}, rlim_t{200}, rlim_t{16000}}) {
    std::string messages;
    {
      const FullDisk disk(max_bytes);
      messages += message_of<IoError>(safetensors.string(), [&] {
        write_safetensors(safetensors, {{"x", x}});
      });
      messages += message_of<IoError>(gguf.string(), [&] {
        GgufWriter writer(gguf, {});
        writer.declare("x", DType::kF32, x.shape());
        writer.write("x", x);
        writer.finish();
      });
      messages += message_of<IoError>(dir.path().string(), [&] {
        write_sharded(dir.path(), {{"x", x}, {"y", x}}, 9);
      });
    }
    EXPECT_THAT(messages, HasSubstr("cannot write"));
    EXPECT_FALSE(has_files(dir.path())) << max_bytes;
  }
}

TEST(Writers, AFailedSaveKeepsTheFileThatWasThere) {
  const TempDir dir;
  const auto path = dir.path() / "x.safetensors";
  const Tensor x = randn({4096}, 1);
  write_safetensors(path, {{"x", x}});
  {
    const FullDisk disk(5000);
    message_of<IoError>(path.string(), [&] { write_safetensors(path, {{"x", randn({4096}, 2)}}); });
  }
  EXPECT_TRUE(test::same_bits(SafetensorsFile(path).get("x", test_device()), x));
}

TEST(Writers, AnUnwritablePlaceIsNamed) {
  const TempDir dir;
  message_of<IoError>("none/x.gguf", [&] { GgufWriter(dir.path() / "none/x.gguf", {}); });
  message_of<IoError>("none/x", [&] { SafetensorsWriter(dir.path() / "none/x"); });
  write_plain(dir.path() / "file", "");
  message_of<IoError>("file/sub", [&] { write_sharded(dir.path() / "file/sub", {}); });
}

TEST(Writers, WithoutFinishNothingAppears) {
  const TempDir dir;
  {
    GgufWriter gguf(dir.path() / "x.gguf", {});
    SafetensorsWriter safetensors(dir.path() / "x.safetensors");
    for (const char* name : {"x", "y"}) {
      gguf.declare(name, DType::kF32, {4});
      safetensors.declare(name, DType::kF32, {4});
    }
    gguf.write("x", randn({4}, 1));
    safetensors.write("x", randn({4}, 1));
    EXPECT_THAT(message_of("x.gguf", [&] { gguf.finish(); }), HasSubstr("'y' is missing"));
    EXPECT_THAT(message_of("x.safetensors", [&] { safetensors.finish(); }),
                HasSubstr("'y' is missing"));
  }
  EXPECT_FALSE(has_files(dir.path()));
}

TEST(Writers, MistakesOfTheCallerAreNamed) {
  const TempDir dir;
  const auto path = dir.path() / "x.gguf";
  GgufWriter writer(path, {});
  writer.declare("x", DType::kQ8_0, {4, 32});
  writer.declare("y", DType::kF32, {4});
  const auto declare = [&](const std::string& name, DType dtype, const Shape& shape) {
    return message_of(path.string(), [&] { writer.declare(name, dtype, shape); });
  };
  EXPECT_THAT(declare("x", DType::kF32, {1}), HasSubstr("declared twice"));
  EXPECT_THAT(declare("", DType::kF32, {1}), HasSubstr("''"));
  EXPECT_THAT(declare("\xff", DType::kF32, {1}), HasSubstr("\\xff"));
  EXPECT_THAT(declare(std::string(64, 'n'), DType::kF32, {1}), HasSubstr("64 bytes"));
  EXPECT_THAT(declare("q", DType::kQ8_0, {32, 4}), HasSubstr("multiples of 32"));
  EXPECT_THAT(declare("u", DType::kU8, {1}), HasSubstr("u8"));

  const auto write = [&](const char* name, const Tensor& part) {
    return message_of(path.string(), [&] { writer.write(name, part); });
  };
  EXPECT_THAT(write("y", randn({4}, 1)), HasSubstr("due was 'x'"));
  EXPECT_THAT(write("x", randn({4, 31}, 1)), HasSubstr("got [4, 31]"));
  EXPECT_THAT(write("x", randn({5, 32}, 1)), HasSubstr("got [5, 32]"));
  EXPECT_THAT(write("x", randn({128}, 1)), HasSubstr("got [128]"));
  EXPECT_THAT(write("x", Tensor({4, 32}, DType::kI32, test_device())), HasSubstr("got i32"));
  writer.write("x", randn({3, 32}, 1));
  EXPECT_THAT(write("x", randn({2, 32}, 1)), HasSubstr("after 3 rows"));
  EXPECT_THAT(declare("z", DType::kF32, {1}), HasSubstr("after data was written"));
  const std::vector<float> bad(32, std::numeric_limits<float>::infinity());
  EXPECT_THAT(write("x", Tensor::from(bad, {1, 32}, test_device())), HasSubstr("'x'"));
}

TEST(Writers, SafetensorsCannotHoldBlocks) {
  const TempDir dir;
  SafetensorsWriter writer(dir.path() / "x.safetensors");
  EXPECT_THAT(
      message_of<NotSupported>("x.safetensors", [&] { writer.declare("w", DType::kQ8_0, {32}); }),
      HasSubstr("q8_0"));
  EXPECT_THROW(writer.declare("__metadata__", DType::kF32, {1}), Error);
}

}  // namespace
}  // namespace corral::io
