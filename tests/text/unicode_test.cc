#include "text/unicode.h"

#include <gtest/gtest.h>

#include "text/byte_level.h"
#include "text/goldens.h"

namespace corral::test {
namespace {

using text::CharClass;

CharClass class_of(uint32_t code_point) { return text::CharClasses::get().of(code_point); }

TEST(CharClasses, TellApartWhatTheSplitPatternTellsApart) {
  EXPECT_EQ(class_of('A'), CharClass::kUpper);
  EXPECT_EQ(class_of(0x01C5), CharClass::kUpper);  // titlecase
  EXPECT_EQ(class_of('z'), CharClass::kLower);
  EXPECT_EQ(class_of(0x4E00), CharClass::kLetter);  // CJK
  EXPECT_EQ(class_of(0x02B0), CharClass::kLetter);  // modifier letter
  EXPECT_EQ(class_of(0x0301), CharClass::kMark);
  EXPECT_EQ(class_of('7'), CharClass::kNumber);
  EXPECT_EQ(class_of(0x2167), CharClass::kNumber);  // roman numeral eight
  EXPECT_EQ(class_of('\n'), CharClass::kNewline);
  EXPECT_EQ(class_of(0x1F642), CharClass::kOther);  // emoji
  EXPECT_EQ(class_of(0x10FFFF), CharClass::kOther);
}

TEST(CharClasses, CountUnicodeWhiteSpaceButNotTheAsciiSeparators) {
  for (const uint32_t c : {0x09u, 0x0Bu, 0x20u, 0x85u, 0xA0u, 0x1680u, 0x2003u, 0x2028u, 0x3000u}) {
    EXPECT_EQ(class_of(c), CharClass::kSpace) << c;
  }
  for (const uint32_t c : {0x1Cu, 0x1Du, 0x1Eu, 0x1Fu, 0x200Bu, 0xFEFFu}) {
    EXPECT_EQ(class_of(c), CharClass::kOther) << c;
  }
}

TEST(Utf8, RejectsOverlongFormsSurrogatesAndWhatIsBeyondUnicode) {
  for (const std::string bad :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80", "\xFF"}) {
    EXPECT_EQ(text::utf8_char_bytes(bad, 0), 0u);
    EXPECT_FALSE(text::is_valid_utf8(bad));
  }
  for (const std::string good :
       {"a", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(text::utf8_char_bytes(good, 0), good.size());
    std::string again;
    text::append_utf8(again, text::utf8_code_point(good, 0, good.size()));
    EXPECT_EQ(again, good);
  }
}

TEST(Utf8, ReplacesIllFormedPartsAsPythonDoes) {
  const auto golden = read_json(data_dir() / "tokenizer/decode_cases.json");
  ASSERT_EQ(golden["cases"].size(), 60u);
  for (const auto& c : golden["cases"]) {
    EXPECT_EQ(text::utf8_with_replacement(from_hex(c["bytes_hex"])),
              c["text_with_replacement"].get<std::string>());
  }
  // A cut character is one replacement, however many of its bytes are there.
  EXPECT_EQ(text::utf8_with_replacement("\xF0\x9F\x99"), "\xEF\xBF\xBD");
  EXPECT_EQ(text::utf8_with_replacement("\xF0\x9F"
                                        "a\xE2\x82"),
            "\xEF\xBF\xBD"
            "a\xEF\xBF\xBD");
  EXPECT_EQ(text::utf8_with_replacement("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(ByteLevelAlphabet, GivesEveryByteStringBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(text::from_byte_level(text::to_byte_level(all)), all);
  EXPECT_EQ(text::to_byte_level(" a\n\xAD!"),
            "\xC4\xA0"
            "a\xC4\x8A\xC5\x83!");
}

TEST(ByteLevelAlphabet, RefusesCharactersThatStandForNoByte) {
  EXPECT_FALSE(text::from_byte_level(" "));
  EXPECT_FALSE(text::from_byte_level("\xC5\x84"));  // U+0144, one beyond the alphabet
  EXPECT_FALSE(text::from_byte_level("\xE4\xBD\xA0"));
  EXPECT_FALSE(text::from_byte_level("a\xC4"));
}

}  // namespace
}  // namespace corral::test
