#include "io/torch_file.h"

#include <vector>

#include "io/pickle.h"
#include "io/support.h"
#include "support/torch_writer.h"

namespace corral::io {
namespace {

using test::PickleWriter;
using test::randn;
using test::same_bits;
using test::TempDir;
using test::test_device;
using test::to_dtype;
using test::TorchWriter;
using test::ZipWriter;
using testing::HasSubstr;

class TorchFiles : public testing::Test {
 protected:
  // Opens an archive of these bytes.
  TorchFile open(const std::string& bytes) {
    write_plain(path, bytes);
    return TorchFile(path);
  }
  template <class E = Error>
  std::string refusal(const std::string& bytes) {
    return message_of<E>(path.string(), [&] { read_all(open(bytes), device); });
  }
  // An archive with this pickle and a storage '0' of 24 bytes.
  static std::string archive_of(const std::string& pickle) {
    ZipWriter zip;
    zip.add("a/data.pkl", pickle);
    zip.add("a/data/0", std::string(24, '\x3f'));
    return zip.finish();
  }
  static std::string view(int64_t elements, int64_t offset, const std::vector<int64_t>& sizes,
                          const std::vector<int64_t>& strides) {
    PickleWriter pickle;
    pickle.tensor("w", "FloatStorage", "0", elements, offset, sizes, strides);
    return archive_of(pickle.finish());
  }

  TempDir dir;
  std::filesystem::path path = dir.path() / "consolidated.00.pth";
  DevicePtr device = test_device();
};

TEST_F(TorchFiles, AreReadAsTheyWereWritten) {
  const Tensor a = randn({3, 4}, 1);
  const Tensor b = to_dtype(randn({5}, 2), DType::kBF16);
  const Tensor c = to_dtype(randn({2, 3, 4}, 3), DType::kF16);
  TorchWriter writer;
  writer.add("a", a);
  writer.add("b", b);
  writer.add("c", c);
  const TorchFile file = open(writer.finish());
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.info("b").type_name, "BF16");
  EXPECT_TRUE(same_bits(file.get("a", device), a));
  EXPECT_TRUE(same_bits(file.get("b", device), b));
  EXPECT_TRUE(same_bits(file.get("c", device), c));
}

TEST_F(TorchFiles, MapWhatLiesRowByRow) {
  TorchWriter writer;
  writer.add("weight", randn({8, 8}, 1));
  const TorchFile file = open(writer.finish());
  const Tensor w = file.get("weight", device);
  EXPECT_FALSE(w.storage()->writable());
  EXPECT_TRUE(same_bits(w, randn({8, 8}, 1)));
}

TEST_F(TorchFiles, RebuildViewsOfASharedStorageAndTransposedOnes) {
  const Tensor storage = randn({24}, 5);
  const auto values = storage.values<float>();
  TorchWriter writer;
  writer.add_view("tail", storage, 20, {4}, {1});
  writer.add_view("transposed", storage, 2, {4, 3}, {1, 4});
  writer.add_view("every_second", storage, 1, {5}, {2});
  writer.add_view("one_row", storage, 3, {1, 6}, {99, 1});
  const TorchFile file = open(writer.finish());
  EXPECT_EQ(file.get("tail", device).values<float>()[3], values[23]);
  EXPECT_EQ(file.get("one_row", device).values<float>()[5], values[8]);
  const Tensor transposed = file.get("transposed", device);
  ASSERT_EQ(transposed.shape(), (Shape{4, 3}));
  for (size_t r = 0; r < 4; ++r) {
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(transposed.values<float>()[r * 3 + c], values[2 + r + 4 * c]);
    }
  }
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(file.get("every_second", device).values<float>()[i], values[1 + 2 * i]);
  }
}

TEST_F(TorchFiles, PassOverObjectsThatAreNoTensors) {
  TorchWriter writer;
  writer.pickle()
      .string("x._extra_state")
      .global("_io", "BytesIO")
      .op(")\x81(")
      .global("_codecs", "encode")
      .op("(")
      .string("state \xc3\xbf")
      .string("latin1")
      .op("tR")
      .number(0)
      .op("Ntb");
  writer.pickle().string("nested").op("}").string("none").op("N");
  writer.add("w", randn({2}, 1));
  const TorchFile file = open(writer.finish());
  ASSERT_EQ(file.tensors().size(), 1u);
  EXPECT_EQ(file.tensors()[0].name, "w");
}

TEST_F(TorchFiles, RunNoCode) {
  const std::vector<std::pair<std::string, std::string>> globals = {
      {"os", "system"},
      {"builtins", "eval"},
      {"builtins", "exec"},
      {"builtins", "getattr"},
      {"subprocess", "Popen"},
      {"posix", "system"},
      {"torch", "load"},
      {"torch._utils", "_rebuild_tensor"},
      {"collections", "Counter"},
      {"torch.hub", "load"},
      {"__builtin__", "bytearray"}};
  for (const auto& [module, name] : globals) {
    PickleWriter pickle;
    pickle.string("w").global(module, name).op("(").string("true").op("tR");
    const std::string old = refusal<NotSupported>(archive_of(pickle.finish()));
    EXPECT_THAT(old, HasSubstr(module + "." + name));
    PickleWriter by_stack;
    by_stack.string("w").string(module).string(name).op("\x93(").string("true").op("tR");
    refusal<NotSupported>(archive_of(by_stack.finish()));
  }
  // The storage classes are names of types, not functions to call.
  PickleWriter call;
  call.string("w").global("torch", "FloatStorage").op(")R");
  EXPECT_THAT(refusal<CorruptFile>(archive_of(call.finish())), HasSubstr("cannot be called"));
}

TEST_F(TorchFiles, PicklesThatContainThemselvesEndQuickly) {
  const std::string head("\x80\x02", 2);
  // A list in itself, a dict in itself, and a tensor whose arguments are itself.
  refusal<CorruptFile>(
      archive_of(head + "]q" + std::string(1, '\0') + "h" + std::string(1, '\0') + "a."));
  EXPECT_NO_THROW(
      open(archive_of(head + "}q" + std::string(1, '\0') + "X" + std::string("\x01\0\0\0w", 5) +
                      "h" + std::string(1, '\0') + "s.")));
  // A tuple of a hundred thousand values, recalled a hundred thousand times.
  std::string bomb = head + "(" + std::string(100000, 'N') + "tq" + std::string(1, '\0');
  for (int i = 0; i < 100000; ++i) bomb += "h" + std::string(1, '\0') + "Q";
  refusal<CorruptFile>(archive_of(bomb + "."));
  // Lists of two of the list before, thirty deep.
  std::string laughs = head + "]";
  for (int i = 0; i < 30; ++i) laughs += std::string("(q\0h\0h\0l", 8);
  refusal<CorruptFile>(archive_of(laughs + "."));
  refusal<CorruptFile>(archive_of(head + std::string(500000, '(') + "."));
  refusal<CorruptFile>(archive_of(head + std::string(100000, ']') + std::string(99999, 'a') + "."));
}

TEST_F(TorchFiles, RefusePicklesOfNoStateDict) {
  const std::string head("\x80\x02", 2);
  for (const std::string& pickle : {std::string(),
                                    head,
                                    head + ".",
                                    head + "N.",
                                    head + "].",
                                    head + "0.",
                                    head + "a.",
                                    head + "t.",
                                    head + "R.",
                                    head + "NNR.",
                                    head + "}NNs.",
                                    head + "h\x05.",
                                    head + "NQ.",
                                    head + "(Q.",
                                    head + "}(Nu.",
                                    head + "\xff.",
                                    std::string("\x80\x09N.", 4),
                                    head + "X\xff\xff\xff\x7fw.",
                                    head + "\x8a\xff.",
                                    head + "cos\nsystem"}) {
    refusal<Error>(archive_of(pickle));
  }
  const std::string long_pickle(static_cast<size_t>(kMaxPickleBytes) + 1, 'N');
  EXPECT_THAT(refusal<CorruptFile>(archive_of(long_pickle)), HasSubstr("are allowed"));
}

TEST_F(TorchFiles, RefuseViewsBeyondTheirStorage) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  EXPECT_EQ(open(view(6, 0, {2, 3}, {3, 1})).tensors().size(), 1u);
  EXPECT_EQ(open(view(6, 6, {0, 3}, {3, 1})).tensors().size(), 1u);
  for (const std::string& bytes :
       {view(7, 0, {2, 3}, {3, 1}), view(6, 1, {2, 3}, {3, 1}), view(6, 0, {2, 3}, {4, 1}),
        view(6, 0, {7}, {1}), view(6, 0, {1000000}, {0}), view(6, kHuge, {2}, {1}),
        view(6, 7, {0}, {1}), view(6, -1, {2}, {1}), view(6, 0, {-2}, {1}), view(6, 0, {2}, {-1}),
        view(6, 0, {2}, {kHuge}), view(6, 0, {kHuge, 4}, {1, kHuge}), view(kHuge, 0, {kHuge}, {1}),
        view(-1, 0, {0}, {1}), view(6, 0, {2, 2}, {kHuge, kHuge}), view(6, 0, {2}, {1, 1}),
        view(6, 0, {1, 1, 1, 1, 2}, {2, 2, 2, 2, 1})}) {
    EXPECT_THAT(refusal<Error>(bytes), HasSubstr("'w'"));
  }
  PickleWriter absent;
  absent.tensor("w", "FloatStorage", "1", 6, 0, {6}, {1});
  EXPECT_THAT(refusal<CorruptFile>(archive_of(absent.finish())), HasSubstr("storage '1'"));
  PickleWriter exotic;
  exotic.tensor("w", "ComplexFloatStorage", "0", 1, 0, {1}, {1});
  EXPECT_THAT(refusal<NotSupported>(archive_of(exotic.finish())), HasSubstr("ComplexFloat"));
}

TEST_F(TorchFiles, RefuseDamagedArchives) {
  TorchWriter writer;
  writer.add("a", randn({3, 4}, 1));
  writer.add("b", randn({5}, 2));
  const std::string good = writer.finish();
  for (size_t n = 0; n < good.size(); ++n) refusal<CorruptFile>(good.substr(0, n));
  int refused = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    try {
      read_all(open(bytes), device);
    } catch (const Error& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
    }
  }
  EXPECT_GT(refused, 1000);
}

// Replaces the little-endian number at `at`, counted from the signature of the n-th directory
// entry.
std::string with_entry_field(std::string bytes, int n, size_t at, uint64_t value, int width) {
  size_t entry = 0;
  for (int i = 0; i <= n; ++i) entry = bytes.find("PK\x01\x02", entry + 1);
  std::string field;
  test::put(field, value, width);
  return bytes.replace(entry + at, field.size(), field);
}

TEST_F(TorchFiles, RefuseHostileDirectories) {
  TorchWriter writer;
  writer.add("a", randn({3, 4}, 1));
  writer.add("b", randn({5}, 2));
  const std::string good = writer.finish();
  EXPECT_THAT(refusal<NotSupported>(with_entry_field(good, 1, 10, 8, 2)), HasSubstr("compressed"));
  EXPECT_THAT(refusal<NotSupported>(with_entry_field(good, 1, 8, 1, 2)), HasSubstr("encrypted"));
  EXPECT_THAT(refusal<CorruptFile>(with_entry_field(good, 1, 20, 1, 4)),
              HasSubstr("two different"));
  EXPECT_THAT(refusal<CorruptFile>(with_entry_field(good, 1, 42, 0x7FFFFFFF, 4)),
              HasSubstr("outside"));
  EXPECT_THAT(refusal<CorruptFile>(with_entry_field(good, 2, 42, 0, 4)), HasSubstr("another name"));
  EXPECT_THAT(refusal<CorruptFile>(with_entry_field(good, 1, 42, 0xFFFFFFFF, 4)),
              HasSubstr("zip64 field is missing"));
  // Sizes that reach into the next entry, and far out of the file.
  for (const uint64_t size : {uint64_t{300}, uint64_t{0x7FFFFFFF}}) {
    const std::string longer =
        with_entry_field(with_entry_field(good, 1, 20, size, 4), 1, 24, size, 4);
    EXPECT_THAT(refusal<CorruptFile>(longer),
                testing::AnyOf(HasSubstr("overlap"), HasSubstr("outside")));
  }
  std::string many = good;
  many[many.size() - 12] = '\xff';  // entries, of 16 bits
  many[many.size() - 11] = '\xff';
  EXPECT_THAT(refusal<CorruptFile>(many), HasSubstr("65535 entries"));
  ZipWriter twice;
  twice.add("a/data.pkl", "x");
  twice.add("a/data.pkl", "x");
  EXPECT_THAT(refusal<CorruptFile>(twice.finish()), HasSubstr("two entries"));
  EXPECT_THAT(refusal<CorruptFile>("no zip at all, but long enough to hold an end record"),
              HasSubstr("no end record"));
}

TEST_F(TorchFiles, ReadZip64Directories) {
  TorchWriter writer;
  const Tensor a = randn({3, 4}, 1);
  writer.add("a", a);
  const std::string old = writer.finish();
  // The same entries, with the end record's numbers in a zip64 end record.
  const std::string end = old.substr(old.size() - 22);
  uint32_t size = 0;
  uint32_t offset = 0;
  std::memcpy(&size, end.data() + 12, 4);
  std::memcpy(&offset, end.data() + 16, 4);
  std::string bytes = old.substr(0, old.size() - 22);
  const size_t end64 = bytes.size();
  bytes += "PK\x06\x06";
  test::put(bytes, 44, 8);
  test::put(bytes, 0, 4);
  test::put(bytes, 0, 8);
  test::put(bytes, 3, 8);
  test::put(bytes, 3, 8);
  test::put(bytes, size, 8);
  test::put(bytes, offset, 8);
  bytes += "PK\x06\x07";
  test::put(bytes, 0, 4);
  test::put(bytes, end64, 8);
  test::put(bytes, 1, 4);
  bytes += "PK\x05\x06";
  test::put(bytes, 0, 4);
  test::put(bytes, ~uint64_t{0}, 8);
  test::put(bytes, ~uint64_t{0}, 4);
  test::put(bytes, 0, 2);
  EXPECT_TRUE(same_bits(open(bytes).get("a", device), a));
  for (size_t at = end64; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x5A);
    try {
      read_all(open(damaged), device);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
    }
  }
}

}  // namespace
}  // namespace corral::io
