#include "base/encoding.h"

#include <gtest/gtest.h>

namespace corral {
namespace {

TEST(Encoding, Base64GoesBothWays) {
  for (const std::string text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    EXPECT_EQ(base64_decode(base64_encode(text)), text);
  }
  EXPECT_EQ(base64_encode("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64_decode("Zm9v\r\nYmE"), "fooba");
  EXPECT_EQ(base64_decode("_-8"), "\xff\xef");
  for (const char* bad : {"Z", "Zm9vY", "Zm=9", "Zm9!", "\x80"}) {
    EXPECT_FALSE(base64_decode(bad).has_value()) << bad;
  }
}

TEST(Encoding, FilesHavePaddedBase64Alone) {
  EXPECT_EQ(base64_decode_padded("Zm8="), "fo");
  EXPECT_EQ(base64_decode_padded("Zg=="), "f");
  EXPECT_EQ(base64_decode_padded("+/8="), "\xfb\xff");
  for (const char* bad : {"", "Zm8", "Z===", "====", "_-8=", "Zm9v Zm8", "Zm9v\nZm=", "Zm=9"}) {
    EXPECT_FALSE(base64_decode_padded(bad).has_value()) << bad;
  }
}

TEST(Encoding, HexadecimalDigits) {
  EXPECT_EQ(to_hex(std::string_view("\x00\xaf\x10", 3)), "00af10");
  EXPECT_EQ(to_hex(uint64_t{0x1234abcd}), "000000001234abcd");
  EXPECT_EQ(to_hex(uint64_t{0x1234abcd}, 2), "cd");
  EXPECT_EQ(from_hex("00aF10"), std::string("\x00\xaf\x10", 3));
  EXPECT_EQ(from_hex(""), "");
  for (const char* bad : {"0", "0g", "g0", "0x10", " 0"}) {
    EXPECT_FALSE(from_hex(bad).has_value()) << bad;
  }
}

TEST(Encoding, PercentSigns) {
  EXPECT_EQ(percent_decode("a%20b%2Fc%2f%41"), "a b/c/A");
  EXPECT_EQ(percent_decode("100%"), "100%");
  EXPECT_EQ(percent_decode("%2"), "%2");
  EXPECT_EQ(percent_decode("%zz%%41"), "%zz%A");
}

}  // namespace
}  // namespace corral
