#include <cstdint>
#include <vector>

#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/support.h"

namespace corral::io {
namespace {

using test::randn;
using test::TempDir;
using test::test_device;
using testing::HasSubstr;

// Value and tensor types by their numbers in the file.
constexpr uint32_t kU32 = 4;
constexpr uint32_t kString = 8;
constexpr uint32_t kArray = 9;
constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ8 = 8;

Bytes header(uint64_t tensors, uint64_t entries) {
  Bytes b;
  return b.raw("GGUF").u32(3).u64(tensors).u64(entries);
}

void parse(const std::string& text) {
  // A copy whose end is the end of its allocation, so that a sanitizer sees any step beyond.
  const std::vector<char> exact(text.begin(), text.end());
  parse_gguf(std::as_bytes(std::span<const char>(exact)), "hostile.gguf");
}

std::string refusal(const Bytes& bytes) {
  return message_of("hostile.gguf", [&] { parse(bytes.text()); });
}

/// One tensor with these dimensions (innermost first) and this much data.
Bytes one_tensor(const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset,
                 size_t data_bytes) {
  Bytes b = header(1, 0);
  b.string("x").u32(static_cast<uint32_t>(dims.size()));
  for (const uint64_t dim : dims) b.u64(dim);
  return b.u32(type).u64(offset).pad(32).raw(std::string(data_bytes, 'd'));
}

std::string small_gguf() {
  const TempDir dir;
  const auto path = dir.path() / "small.gguf";
  GgufMetadata m;
  m.set_string("general.architecture", "llama4");
  m.set_u32("general.alignment", 32);
  m.set_f32("eps", 1e-5f);
  m.set_array("tokens", std::vector<std::string>{"a", "bc"});
  m.set_array("types", std::vector<int32_t>{1, 3});
  GgufWriter writer(path, std::move(m));
  writer.declare("w", DType::kQ8_0, {2, 32});
  writer.declare("b", DType::kF32, {3});
  writer.write("w", randn({2, 32}, 1));
  writer.write("b", randn({3}, 1));
  writer.finish();
  return read_file(path);
}

/// Everything that a reader of a model asks for.
void use(const std::filesystem::path& path, const DevicePtr& device) {
  const GgufFile file(path);
  for (const GgufEntry& entry : file.metadata()) {
    if (entry.type == GgufType::kArray && entry.element_type == GgufType::kString) {
      file.get_strings(entry.key);
    } else if (entry.type == GgufType::kArray && gguf_type_bytes(entry.element_type) > 0) {
      const bool real =
          entry.element_type == GgufType::kF32 || entry.element_type == GgufType::kF64;
      real ? static_cast<void>(file.get_floats(entry.key))
           : static_cast<void>(file.get_ints(entry.key));
    } else if (entry.type == GgufType::kString) {
      file.get_string(entry.key);
    } else if (entry.type == GgufType::kU32) {
      file.get_uint(entry.key);
    } else if (entry.type == GgufType::kF32) {
      file.get_float(entry.key);
    }
  }
  read_all(file, device);
}

TEST(GgufHostile, TruncatedAnywhereItIsRefused) {
  const TempDir dir;
  const auto path = dir.path() / "cut.gguf";
  const std::string good = small_gguf();
  const size_t padding = 20;  // three floats leave 20 bytes of the last 32, which nobody needs
  EXPECT_NO_THROW(parse(good.substr(0, good.size() - padding)));
  for (size_t n = 0; n < good.size() - padding; ++n) {
    refusal(Bytes().raw(good.substr(0, n)));
    write_plain(path, good.substr(0, n));
    message_of<CorruptFile>(path.string(), [&] { GgufFile{path}; });
  }
}

TEST(GgufHostile, AnyFlippedBitGivesAnErrorOrAModel) {
  const TempDir dir;
  const DevicePtr device = test_device();
  const auto path = dir.path() / "flipped.gguf";
  const std::string good = small_gguf();
  int refused = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string text = good;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    write_plain(path, text);
    try {
      use(path, device);
    } catch (const Error& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(GgufHostile, WhatIsNoFileIsRefused) {
  const TempDir dir;
  message_of<IoError>(dir.path().string(), [&] { GgufFile{dir.path()}; });
  message_of<IoError>("absent.gguf", [&] { GgufFile{dir.path() / "absent.gguf"}; });
  write_plain(dir.path() / "empty.gguf", "");
  message_of<CorruptFile>("empty.gguf", [&] { GgufFile{dir.path() / "empty.gguf"}; });
  EXPECT_THAT(refusal(Bytes().raw("GGML").u32(3).u64(0).u64(0)), HasSubstr("not a GGUF file"));
}

TEST(GgufHostile, OtherVersionsAndByteOrdersAreNamed) {
  EXPECT_THAT(refusal(Bytes().raw("GGUF").u32(1).u64(0).u64(0)), HasSubstr("version 1"));
  EXPECT_THAT(refusal(Bytes().raw("GGUF").u32(4).u64(0).u64(0)), HasSubstr("version 4"));
  EXPECT_THAT(refusal(Bytes().raw("GGUF").u32(0).u64(0).u64(0)), HasSubstr("version 0"));
  EXPECT_THAT(refusal(Bytes().raw("GGUF").u32(0x03000000).u64(0).u64(0)), HasSubstr("big-endian"));
}

TEST(GgufHostile, CountsAreNotTrusted) {
  for (const uint64_t count : {uint64_t{1}, uint64_t{1000001}, uint64_t{1} << 32, uint64_t{1} << 60,
                               uint64_t{1} << 63, ~uint64_t{0}}) {
    refusal(header(count, 0));
    refusal(header(0, count));
    refusal(header(count, 0).raw(std::string(1000, '\0')));
    refusal(header(0, count).raw(std::string(1000, '\0')));
  }
  // A file that could hold them is still refused beyond what models need.
  const std::vector<char> zeros(20'000'000);
  EXPECT_THAT(refusal(header(0, 1000001).raw({zeros.data(), zeros.size()})),
              HasSubstr("than 1000000"));
}

TEST(GgufHostile, StringLengthsAreNotTrusted) {
  for (const uint64_t length :
       {uint64_t{6}, uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 8}) {
    refusal(header(0, 1).u64(length).raw("a key"));
    refusal(header(0, 1).string("key").u32(kString).u64(length).raw("value"));
    refusal(header(0, 1).string("key").u32(kArray).u32(kString).u64(1).u64(length).raw("value"));
    refusal(header(1, 0).u64(length).raw("x").raw(std::string(100, '\xff')));
  }
  refusal(header(0, 1).string("").u32(kU32).u32(1));
  refusal(header(0, 1).string("\xff").u32(kU32).u32(1));
  refusal(header(0, 1).string(std::string(65536, 'k')).u32(kU32).u32(1));
}

TEST(GgufHostile, ArrayLengthsAreNotTrusted) {
  for (const uint64_t count :
       {uint64_t{3}, uint64_t{1} << 61, uint64_t{1} << 62, uint64_t{1} << 63, ~uint64_t{0}}) {
    for (const uint32_t element : {kU32, kString, kArray}) {
      EXPECT_THAT(refusal(header(0, 1).string("k").u32(kArray).u32(element).u64(count).u64(0)),
                  HasSubstr("'k' claims an array"));
    }
  }
  // A byte each: the count fits the file only without the last one.
  refusal(header(0, 1).string("k").u32(kArray).u32(0).u64(9).u64(0));
}

TEST(GgufHostile, UnknownValueTypesAreRefused) {
  EXPECT_THAT(refusal(header(0, 1).string("k").u32(13).u64(0)), HasSubstr("value type 13"));
  EXPECT_THAT(refusal(header(0, 1).string("k").u32(kArray).u32(99).u64(0)),
              HasSubstr("value type 99"));
}

TEST(GgufHostile, NestedArraysAreReadToALimit) {
  const auto nested = [](int depth) {
    Bytes b = header(0, 1);
    b.string("k").u32(kArray);
    for (int i = 1; i < depth; ++i) b.u32(kArray).u64(1);
    return b.u32(kU32).u64(1).u32(7);
  };
  EXPECT_NO_THROW(parse(nested(1).text()));
  EXPECT_NO_THROW(parse(nested(8).text()));
  EXPECT_THAT(refusal(nested(9)), HasSubstr("nests arrays deeper"));
  EXPECT_THAT(refusal(nested(100000)), HasSubstr("nests arrays deeper"));
}

TEST(GgufHostile, NamesOccurOnce) {
  EXPECT_THAT(refusal(header(0, 2).string("k").u32(kU32).u32(1).string("k").u32(kU32).u32(2)),
              HasSubstr("'k' occurs twice"));
  const TempDir dir;
  const auto path = dir.path() / "twice.gguf";
  Bytes b = header(2, 0);
  for (const uint64_t offset : {0, 32}) b.string("x").u32(1).u64(1).u32(kF32).u64(offset);
  write_plain(path, b.pad(32).raw(std::string(64, 'd')).text());
  EXPECT_THAT(message_of<CorruptFile>(path.string(), [&] { GgufFile{path}; }),
              HasSubstr("two tensors are named 'x'"));
}

TEST(GgufHostile, AlignmentIsAPowerOfTwo) {
  const auto aligned = [](uint32_t alignment) {
    return header(0, 1).string("general.alignment").u32(kU32).u32(alignment);
  };
  for (const uint32_t good : {1u, 8u, 32u, 1u << 30}) EXPECT_NO_THROW(parse(aligned(good).text()));
  for (const uint32_t bad : {0u, 3u, 33u, 48u, 1u << 31, ~0u}) {
    EXPECT_THAT(refusal(aligned(bad)), HasSubstr("general.alignment"));
  }
  EXPECT_THAT(refusal(header(0, 1).string("general.alignment").u32(10).u64(32)),
              HasSubstr("of type u64"));
  EXPECT_THAT(refusal(header(0, 1).string("general.alignment").u32(kString).string("32")),
              HasSubstr("of type string"));
}

// CVE-2026-27940: sizes computed from dimensions wrap around and pass the checks.
TEST(GgufHostile, ProductsOfDimensionsDoNotWrapAround) {
  const uint64_t big = uint64_t{1} << 32;
  const uint64_t half = uint64_t{1} << 63;
  const std::vector<std::vector<uint64_t>> shapes = {
      {uint64_t{1} << 62},  // 2^64 bytes
      {uint64_t{1} << 62, 4},  {big, big},
      {big, big, big, big},    {half},
      {~uint64_t{0}},          {half, 2},
      {0, big, big},           {big, big, 0},
      {32, uint64_t{1} << 58}, {0x5555555555555560, 1},
  };
  for (const auto& shape : shapes) {
    for (const uint32_t type : {kF32, kQ8}) {
      refusal(one_tensor(shape, type, 0, 64));
    }
  }
  refusal(one_tensor({1, 1, 1, 1, 1}, kF32, 0, 64));
  refusal(one_tensor({16}, kQ8, 0, 64));
}

// The sum of padded sizes of several tensors wraps around.
TEST(GgufHostile, SumsOfSizesDoNotWrapAround) {
  Bytes b = header(3, 0);
  uint64_t offset = 0;
  for (const char* name : {"a", "b", "c"}) {
    b.string(name).u32(1).u64(uint64_t{1} << 60).u32(kF32).u64(offset);
    offset += uint64_t{1} << 62;
  }
  refusal(b.pad(32).raw(std::string(64, 'd')));
}

// CVE-2026-7482: dimensions larger than the data lead to reads behind the file.
TEST(GgufHostile, DataMustLieInTheFile) {
  EXPECT_NO_THROW(parse(one_tensor({16}, kF32, 0, 64).text()));
  EXPECT_NO_THROW(parse(one_tensor({8}, kF32, 32, 64).text()));
  for (const uint64_t dim : {17, 1000, 1 << 30}) {
    EXPECT_THAT(refusal(one_tensor({dim}, kF32, 0, 64)), HasSubstr("'x' needs"));
  }
  EXPECT_THAT(refusal(one_tensor({8}, kF32, 64, 64)), HasSubstr("'x'"));
  EXPECT_THAT(refusal(one_tensor({8}, kF32, 16, 64)), HasSubstr("not a multiple of 32"));
  for (const uint64_t offset :
       {uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 31}) {
    refusal(one_tensor({8}, kF32, offset, 64));
    refusal(one_tensor({0}, kF32, offset, 64));
    refusal(one_tensor({8}, 200, offset, 64));
  }
}

TEST(GgufHostile, OverlappingTensorsAreRefused) {
  Bytes b = header(2, 0);
  b.string("a").u32(1).u64(9).u32(kF32).u64(0);
  b.string("b").u32(1).u64(8).u32(kF32).u64(32);
  EXPECT_THAT(refusal(b.pad(32).raw(std::string(64, 'd'))), HasSubstr("'a' and 'b' overlaps"));
}

TEST(GgufHostile, EmptyTensorsAreHarmless) {
  const TempDir dir;
  const auto path = dir.path() / "empty.gguf";
  for (const auto& dims : {std::vector<uint64_t>{0}, {32, 0}, {0, 7}, {3, 0, 5, 2}}) {
    write_plain(path, one_tensor(dims, kF32, 0, 0).text());
    EXPECT_EQ(GgufFile(path).get("x", test_device()).numel(), 0);
  }
  // No padding and no data at all behind the header.
  write_plain(path, header(1, 0).string("x").u32(1).u64(0).u32(kF32).u64(0).text());
  EXPECT_EQ(GgufFile(path).get("x", test_device()).numel(), 0);
}

}  // namespace
}  // namespace corral::io
