#include <cstdint>
#include <vector>

#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "io/support.h"

namespace corral::io {
namespace {

using test::randn;
using test::TempDir;
using test::test_device;
using testing::HasSubstr;

std::string file_with(const std::string& header, const std::string& data = "") {
  return Bytes().u64(header.size()).raw(header).raw(data).text();
}

std::span<const std::byte> as_bytes(const std::vector<char>& exact) {
  return std::as_bytes(std::span<const char>(exact));
}

/// Parses a copy whose end is the end of its allocation, so that a sanitizer sees any step beyond.
std::string refusal(const std::string& text) {
  return message_of("hostile.safetensors", [&] {
    const std::vector<char> exact(text.begin(), text.end());
    parse_safetensors(as_bytes(exact), "hostile.safetensors");
  });
}

std::string tensor(const std::string& shape, const std::string& offsets,
                   const std::string& dtype = "\"F32\"") {
  return "{\"x\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}}";
}

std::string small_safetensors() {
  const TempDir dir;
  const auto path = dir.path() / "small.safetensors";
  write_safetensors(path, {{"weight", randn({2, 3}, 1)}, {"bias", randn({3}, 2), DType::kBF16}},
                    {{"format", "pt"}});
  return read_file(path);
}

TEST(SafetensorsHostile, TruncatedAnywhereItIsRefused) {
  const TempDir dir;
  const auto path = dir.path() / "cut.safetensors";
  const std::string good = small_safetensors();
  for (size_t n = 0; n < good.size(); ++n) {
    refusal(good.substr(0, n));
    write_plain(path, good.substr(0, n));
    message_of<CorruptFile>(path.string(), [&] { SafetensorsFile{path}; });
  }
}

TEST(SafetensorsHostile, AnyFlippedBitGivesAnErrorOrATensor) {
  const TempDir dir;
  const DevicePtr device = test_device();
  const auto path = dir.path() / "flipped.safetensors";
  const std::string good = small_safetensors();
  int refused = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string text = good;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    write_plain(path, text);
    try {
      read_all(SafetensorsFile(path), device);
    } catch (const Error& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
    }
  }
  EXPECT_GT(refused, 500);
}

TEST(SafetensorsHostile, WhatIsNoFileIsRefused) {
  const TempDir dir;
  message_of<IoError>(dir.path().string(), [&] { SafetensorsFile{dir.path()}; });
  message_of<IoError>("absent", [&] { SafetensorsFile{dir.path() / "absent"}; });
  EXPECT_THAT(refusal(""), HasSubstr("0 bytes are too few"));
}

TEST(SafetensorsHostile, TheHeaderLengthIsNotTrusted) {
  const std::string header = "{}";
  EXPECT_NO_THROW(parse_safetensors(as_bytes({2, 0, 0, 0, 0, 0, 0, 0, '{', '}'}), "ok"));
  for (const uint64_t length : {uint64_t{3}, uint64_t{100'000'001}, uint64_t{1} << 31,
                                uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    EXPECT_THAT(refusal(Bytes().u64(length).raw(header).text()), HasSubstr("claims a header"));
  }
  // Long enough to hold it, but longer than readers allow.
  const TempDir dir;
  const auto path = dir.path() / "long.safetensors";
  write_plain(path, Bytes().u64(100'000'001).raw("{").text());
  std::filesystem::resize_file(path, 200'000'000);
  EXPECT_THAT(message_of(path.string(), [&] { SafetensorsFile{path}; }),
              HasSubstr("claims a header"));
}

TEST(SafetensorsHostile, TheHeaderMustBeJsonOfTheRightForm) {
  for (const char* header :
       {"",
        " {}",
        "[]",
        "null",
        "3",
        "{",
        "}",
        "{}{}",
        "{},",
        "{'x':1}",
        "{\"x\":1}",
        "{\"x\":null}",
        "{\"x\":[]}",
        "{\"x\":\"y\"}",
        "{\"x\":true}",
        "{\"x\":{}}",
        "{\"x\":{\"dtype\":\"F32\"}}",
        "{\"__metadata__\":1}",
        "{\"__metadata__\":{\"a\":1}}",
        "{\"__metadata__\":{\"a\":{}}}",
        "{\"__metadata__\":{\"a\":[]}}",
        "{\"__metadata__\":{\"a\":\"\xff\"}}",
        "{\"__metadata__\":{},\"__metadata__\":{}}",
        "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}",
        "{\"\xc3\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"}) {
    refusal(file_with(header));
  }
  refusal(file_with(std::string("{}\0{}", 5)));
  refusal(file_with("{\"x\":" + std::string(1000000, '[')));
  refusal(file_with("{\"x\":{\"shape\":" + std::string(1000000, '[')));
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  refusal(file_with(deep));
}

TEST(SafetensorsHostile, FieldsOfATensorAreChecked) {
  const std::string data(64, 'x');
  const auto refuse = [&](const std::string& header) { return refusal(file_with(header, data)); };
  EXPECT_NO_THROW({
    const std::string ok = file_with(tensor("[4]", "[0,16]"), data);
    parse_safetensors(std::as_bytes(std::span<const char>(ok)), "ok");
  });
  refuse(tensor("[-4]", "[0,16]"));
  refuse(tensor("[4.0]", "[0,16]"));
  refuse(tensor("[4e0]", "[0,16]"));
  refuse(tensor("[\"4\"]", "[0,16]"));
  refuse(tensor("[[4]]", "[0,16]"));
  refuse(tensor("4", "[0,16]"));
  refuse(tensor("[4]", "[0]"));
  refuse(tensor("[4]", "[0,16,16]"));
  refuse(tensor("[4]", "[]"));
  refuse(tensor("[4]", "[-1,15]"));
  refuse(tensor("[4]", "{}"));
  refuse(tensor("[4]", "[0,16]", "0"));
  refuse(tensor("[4]", "[0,16]", "null"));
  refuse("{\"x\":{\"shape\":[4],\"data_offsets\":[0,16]}}");
  refuse("{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}");
  refuse("{\"x\":{\"dtype\":\"F32\",\"shape\":[4]}}");
  refuse("{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}");
  refuse("{\"x\":{\"dtype\":\"F32\",\"shape\":[4],\"shape\":[4],\"data_offsets\":[0,16]}}");
  refuse("{\"x\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16],\"more\":1}}");
  EXPECT_THAT(refuse(tensor("[1,1,1,1,4]", "[0,16]")), HasSubstr("at most 4"));
}

TEST(SafetensorsHostile, DataMustLieInTheFileAndFitTheShape) {
  const std::string data(64, 'x');
  const auto refuse = [&](const std::string& header) { return refusal(file_with(header, data)); };
  refuse(tensor("[4]", "[0,12]"));
  refuse(tensor("[4]", "[0,20]"));
  refuse(tensor("[4]", "[16,0]"));
  refuse(tensor("[4]", "[52,68]"));
  refuse(tensor("[4]", "[18446744073709551600,18446744073709551616]"));
  refuse(tensor("[4]", "[18446744073709551600,0]"));
  refuse(tensor("[0]", "[65,65]"));
  refuse(tensor("[4]", "[0,16]", "\"F16\""));
  // A type without a kernel is checked by size as well.
  refuse(tensor("[4]", "[0,16]", "\"F64\""));
}

TEST(SafetensorsHostile, ProductsOfDimensionsDoNotWrapAround) {
  const std::string data(64, 'x');
  // 2^62 * 4 * 4 bytes = 2^66 = 0 mod 2^64; 2^64 is no 64-bit number; zero times huge is zero, but
  // no shape that anybody can compute with.
  for (const char* shape : {"[4611686018427387904,4]", "[4611686018427387904]",
                            "[9223372036854775807,9223372036854775807]", "[18446744073709551615]",
                            "[18446744073709551616]", "[4294967296,4294967296]",
                            "[4294967296,4294967296,0]", "[0,4294967296,4294967296]", "[1e30]"}) {
    refusal(file_with(tensor(shape, "[0,0]"), data));
    refusal(file_with(tensor(shape, "[0,64]"), data));
  }
}

TEST(SafetensorsHostile, OverlappingTensorsAreRefusedAndHolesAllowed) {
  const std::string data(64, 'x');
  const auto two = [&](const std::string& a, const std::string& b) {
    return file_with(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":)" + a +
                         R"(},"b":{"dtype":"U8","shape":[8],"data_offsets":)" + b + "}}",
                     data);
  };
  EXPECT_THAT(refusal(two("[0,8]", "[0,8]")), HasSubstr("overlaps"));
  EXPECT_THAT(refusal(two("[7,15]", "[0,8]")), HasSubstr("'b' and 'a'"));
  const TempDir dir;
  const auto path = dir.path() / "holes.safetensors";
  write_plain(path, two("[40,48]", "[8,16]"));
  EXPECT_EQ(SafetensorsFile(path).tensors().size(), 2u);
}

TEST(SafetensorsHostile, TwoTensorsOfOneNameAreRefused) {
  const TempDir dir;
  const auto path = dir.path() / "twice.safetensors";
  const std::string x = R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  write_plain(path, file_with("{" + x + "," + x + "}"));
  EXPECT_THAT(message_of<CorruptFile>(path.string(), [&] { SafetensorsFile{path}; }),
              HasSubstr("two tensors are named 'x'"));
}

TEST(SafetensorsHostile, NamesWithControlCharactersDoNotBreakMessages) {
  const std::string message = refusal(
      file_with("{\"a\\nb\\u001b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"));
  EXPECT_THAT(message, HasSubstr("'a\\x0ab\\x1b'"));
}

}  // namespace
}  // namespace corral::io
