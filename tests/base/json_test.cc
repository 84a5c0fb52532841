#include "base/json.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace corral {
namespace {

std::string parse_error(std::string_view text, int max_depth = kMaxJsonDepth) {
  try {
    parse_json(text, "config.json", max_depth);
  } catch (const CorruptFile& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(ParseJson, KeepsEveryKindOfValue) {
  const Json value = parse_json(
      R"( {"null": null, "yes": true, "no": false, "int": -9223372036854775808,
           "big": 18446744073709551615, "real": 0.125, "text": "\u00e9\n", "list": [1, [], {}]} )",
      "config.json");
  EXPECT_TRUE(value.at("null").is_null());
  EXPECT_EQ(value.at("yes"), true);
  EXPECT_EQ(value.at("no"), false);
  EXPECT_EQ(value.at("int").get<int64_t>(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(value.at("big").get<uint64_t>(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(value.at("real"), 0.125);
  EXPECT_EQ(value.at("text"), "\xc3\xa9\n");
  EXPECT_EQ(value.at("list").dump(), "[1,[],{}]");
  EXPECT_EQ(parse_json("7", "").get<int>(), 7);
}

TEST(ParseJson, AgreesWithTheLibraryOnNestedValues) {
  const std::string text = R"([{"a":{"b":[{"c":1},{"c":[2,{"d":"e"}]}],"f":{}}},[],"g"])";
  EXPECT_EQ(parse_json(text, "").dump(), text);
  EXPECT_EQ(parse_json(text, ""), Json::parse(text));
}

TEST(ParseJson, SaysWhereTheSyntaxBreaks) {
  EXPECT_EQ(parse_error("{\n  \"a\": 1,\n  ]"),
            "config.json: not JSON, near \"1,<U+000A>  ]\" (line 3, column 3)");
  EXPECT_EQ(parse_error(""), "config.json: not JSON (line 1, column 1)");
  EXPECT_EQ(parse_error("1 2"), "config.json: not JSON, near \"2\" (line 1, column 3)");
}

TEST(ParseJson, RefusesCutInput) {
  const std::string text = R"({"a": [1, true, "x\u00e9"], "b": {"c": null}})";
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_THROW(parse_json(std::string_view(text).substr(0, size), "config.json"), CorruptFile);
  }
}

TEST(ParseJson, RefusesBytesThatAreNotUtf8AndKeepsTheMessagePrintable) {
  EXPECT_EQ(parse_error("[\"\xff\"]"),
            "config.json: not JSON, near \"\\\"\\ufffd\" (line 1, column 3)");
  EXPECT_EQ(parse_error("\"\xed\xa0\x80\"").substr(0, 21), "config.json: not JSON");
  EXPECT_EQ(parse_error(std::string("\0", 1)).substr(0, 21), "config.json: not JSON");
}

TEST(ParseJson, RefusesNumbersThatNoDoubleHolds) {
  EXPECT_EQ(parse_error("[1e999]"),
            "config.json: number out of range: \"1e999\" (line 1, column 6)");
  EXPECT_EQ(parse_error("[NaN]").substr(0, 21), "config.json: not JSON");
}

TEST(ParseJson, RefusesAKeyThatOccursTwiceInOneObject) {
  EXPECT_EQ(parse_error(R"({"w": 1, "x": {"w": 2}, "w": 3})"),
            "config.json: the key \"w\" occurs twice");
  EXPECT_EQ(parse_json(R"([{"w": 1}, {"w": 2, "x": {"w": 3}}])", "").size(), 2u);
}

TEST(ParseJson, RefusesDeepNestingWithoutUsingTheStack) {
  EXPECT_EQ(parse_error(std::string(5000000, '[')),
            "config.json: JSON is nested deeper than 64 levels");
  std::string objects;
  for (int i = 0; i < 100; ++i) objects += "{\"a\":";
  EXPECT_EQ(parse_error(objects), "config.json: JSON is nested deeper than 64 levels");
  EXPECT_EQ(parse_error("[[[]]]", 2), "config.json: JSON is nested deeper than 2 levels");
  EXPECT_EQ(parse_json("[[[]], [[]]]", "", 3).dump(), "[[[]],[[]]]");
}

TEST(ParseJson, CutsLongTextOutOfItsMessages) {
  EXPECT_LT(parse_error("\"" + std::string(100000, 'x')).size(), 200u);
  EXPECT_LT(parse_error(std::string(100000, '9') + "e" + std::string(5, '9')).size(), 200u);
  const std::string key(100000, 'k');
  EXPECT_LT(parse_error("{\"" + key + "\":1,\"" + key + "\":2}").size(), 200u);
}

}  // namespace
}  // namespace corral
