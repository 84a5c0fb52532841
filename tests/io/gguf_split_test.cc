#include <cstdint>
#include <vector>

#include "base/random.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/support.h"

namespace corral::io {
namespace {

using test::randn;
using test::same_bits;
using test::TempDir;
using test::test_device;
using testing::HasSubstr;

class SplitGguf : public testing::Test {
 protected:
  std::filesystem::path part(int number, int count = 3) const {
    return dir.path() / str("m-0000", number, "-of-0000", count, ".gguf");
  }
  // Part `number` of `count` with one tensor; the first has the model's metadata.
  void write(const std::filesystem::path& path, int number, int count,
             const std::string& tensor) const {
    GgufMetadata metadata;
    if (number == 1) metadata.set_string("general.architecture", "llama4");
    metadata.set_u16("split.no", number - 1);
    metadata.set_u16("split.count", count);
    metadata.set_i32("split.tensors.count", 3);
    GgufWriter writer(path, std::move(metadata));
    const Tensor x = values(tensor);
    writer.declare(tensor, x.dtype(), x.shape());
    writer.write(tensor, x);
    writer.finish();
  }
  static Tensor values(const std::string& tensor) { return randn({4, 8}, hash_name(tensor)); }
  void write_all() const {
    write(part(1), 1, 3, "a");
    write(part(2), 2, 3, "b");
    write(part(3), 3, 3, "c");
  }
  std::string refusal(const std::filesystem::path& path, const std::string& names) {
    return message_of<Error>(names, [&] { GgufFile{path}; });
  }

  TempDir dir;
  DevicePtr device = test_device();
};

TEST_F(SplitGguf, AnyPartOpensTheWholeModel) {
  write_all();
  for (const int number : {1, 2, 3}) {
    const GgufFile file(part(number));
    EXPECT_EQ(file.get_string("general.architecture"), "llama4");
    ASSERT_EQ(file.tensors().size(), 3u);
    for (const char* name : {"a", "b", "c"}) {
      EXPECT_TRUE(same_bits(file.get(name, device), values(name))) << name;
    }
  }
}

TEST_F(SplitGguf, NamesTheMissingPart) {
  write_all();
  std::filesystem::remove(part(2));
  EXPECT_THAT(refusal(part(3), part(2).string()), HasSubstr("missing, but m-00003-of-00003.gguf"));
  EXPECT_THAT(refusal(part(1), part(2).string()), HasSubstr("part 2 of 3"));
}

TEST_F(SplitGguf, PartsThatContradictOneAnotherAreRefused) {
  write_all();
  write(part(2), 3, 3, "b");
  EXPECT_THAT(refusal(part(1), part(2).string()), HasSubstr("says that it is part 3 of 3"));
  write(part(2), 2, 4, "b");
  EXPECT_THAT(refusal(part(1), part(2).string()), HasSubstr("part 2 of 4"));
  write(part(2), 2, 3, "a");
  EXPECT_THAT(refusal(part(1), part(1).string()), HasSubstr("two tensors are named 'a'"));
  GgufMetadata plain;
  plain.set_string("general.architecture", "llama4");
  GgufWriter writer(part(2), std::move(plain));
  writer.finish();
  EXPECT_THAT(refusal(part(1), part(2).string()), HasSubstr("split.count"));
}

TEST_F(SplitGguf, CountsAreChecked) {
  write_all();
  write(part(1, 2), 1, 2, "a");
  write(part(2, 2), 2, 2, "b");
  EXPECT_THAT(refusal(part(1, 2), part(1, 2).string()),
              HasSubstr("the 2 parts hold 2 tensors, the header says 3"));
  for (const char* name : {"m.gguf", "m-00001-of-00004.gguf", "m-0000x-of-00003.gguf",
                           "-00001-of-00003.gguf", "m-00001-of-00003.bin"}) {
    const auto path = dir.path() / name;
    write(path, 1, 3, "a");
    EXPECT_THAT(refusal(path, path.string()), HasSubstr("one of 3 parts of a split model"));
  }
}

}  // namespace
}  // namespace corral::io
