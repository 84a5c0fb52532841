#include "engine/constraint/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/constraint/constraint.h"
#include "engine/constraint/json_validator.h"

namespace corral::engine {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;

std::string refused(const char* schema) {
  try {
    const OrderedJson parsed = parse_schema(schema);
    const Automaton automaton(schema_grammar(parsed));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

/// Texts that a schema has and has not. The validator is asked about those that are JSON too: it
/// must agree with those that the grammar has.
void expect(const char* schema, const std::vector<std::string>& good,
            const std::vector<std::string>& bad) {
  SCOPED_TRACE(schema);
  const OrderedJson parsed = parse_schema(schema);
  const Automaton automaton(schema_grammar(parsed));
  const fixture::JsonValidator validator(parsed);
  for (const std::string& text : good) {
    EXPECT_TRUE(follows(automaton, text)) << text;
    EXPECT_TRUE(validator.valid(ordered_json::parse(text))) << text;
  }
  for (const std::string& text : bad) EXPECT_FALSE(follows(automaton, text)) << text;
}

TEST(JsonSchema, Types) {
  expect(R"({"type": "null"})", {"null"}, {"", "nul", "nulll", "0", "\"null\""});
  expect(R"({"type": "boolean"})", {"true", "false"}, {"True", "1"});
  expect(R"({"type": "integer"})", {"0", "-1", "123456789012345678"},
         {"", "-", "-0", "01", "1.0", "1e3", "1234567890123456789"});
  expect(R"({"type": "number"})", {"0", "-0.5", "1e9", "1.25E-3", "12"},
         {".5", "5.", "1e", "+1", "0x1", "1e400", "NaN", "Infinity"});
  expect(R"({"type": ["string", "null"]})", {"\"a\"", "null"}, {"1", "[]"});
  expect(R"({"type": "integer", "nullable": false})", {"5"}, {"null"});
  const Automaton nullable(
      schema_grammar(parse_schema(R"({"type": "integer", "nullable": true})")));
  EXPECT_TRUE(follows(nullable, "null"));
  expect("true",
         {"null", "[1, {\"a\": []}]", "\"x\"", "{}", "[]",
          "{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}"},
         {"", "[1,]", "{\"a\"}", "{,}", "[,1]", "{\"a\":1 \"b\":2}"});
  expect("{}", {"3", "{\"a\": {\"b\": null}}"}, {"x"});
}

TEST(JsonSchema, StringsWithAllEscapes) {
  expect(
      R"({"type": "string"})",
      {R"("")", R"("aé🐎")", R"("\"\\\/\b\f\n\r\t")", R"("\u00e9\uD83D\udc0e\uFFFF\uD7ff\ue000")"},
      {"\"", "\"\n\"", "\"\t\"", R"("\x")", R"("\u12")", R"("\uD83D")", R"("\uD83Dx")",
       R"("\uD83D\n")", R"("\uDC0E")", R"("\uD83D\uD83D")", "\"\x80\"", "\"\xC3\"",
       "\"\xED\xA0\x80\"", "\"\xF5\x80\x80\x80\"", "\"\xC0\x80\""});
  expect(R"({"type": "string", "minLength": 2, "maxLength": 3})",
         {R"("ab")", R"("é🐎\n")", R"("\u00e9\uD83D\udc0e")"},
         {R"("a")", R"("abcd")", R"("\uD83D\udc0e")", R"("🐎")"});
  expect(R"({"type": "string", "minLength": 4})", {R"("abcd")", R"("abcdefgh")"}, {R"("abc")"});
  expect(R"({"type": "string", "maxLength": 0})", {R"("")"}, {R"("a")"});
}

TEST(JsonSchema, Patterns) {
  expect(R"({"type": "string", "pattern": "^[a-z]+-\\d{2}$"})", {R"("ab-12")"},
         {R"("ab-123")", R"("xAb-12")", R"("ab-12 ")"});
  // Without anchors it may stand anywhere, and what JSON escapes is one character.
  expect(R"({"type": "string", "pattern": "\\\\n|a\"b"})", {R"("x\\ny")", R"("a\"b")"},
         {R"("x\ny")", R"("ab")"});
  expect(R"({"pattern": "^a|b$", "maxLength": 3})", {R"("axx")", R"("xb")", R"("a")"},
         {R"("xax")", R"("axxx")"});
  expect(R"({"pattern": "^\\S{2,3}$", "minLength": 3})", {R"("é🐎x")"}, {R"("éx")", R"("a b")"});
  expect(R"({"allOf": [{"pattern": "^[ab]*$"}, {"pattern": "bb"}]})", {R"("abba")"},
         {R"("aba")", R"("cbb")"});
}

TEST(JsonSchema, Formats) {
  expect(R"({"format": "date"})", {R"("2024-02-29")", R"("1999-12-31")", R"("2000-02-29")"},
         {R"("2023-02-29")", R"("1900-02-29")", R"("2024-04-31")", R"("2024-13-01")",
          R"("0000-01-01")", R"("24-01-01")"});
  expect(R"({"format": "date-time"})",
         {R"("2024-05-01T23:59:59Z")", R"("2024-05-01T00:00:00.123+05:30")"},
         {R"("2024-05-01T24:00:00Z")", R"("2024-05-01 00:00:00Z")", R"("2024-05-01T00:00:00")",
          R"("0000-05-01T00:00:00Z")"});
  expect(R"({"format": "uuid"})", {R"("123e4567-e89b-12d3-a456-426614174000")"},
         {R"("123e4567e89b12d3a456426614174000")"});
  expect(R"({"format": "ipv4"})", {R"("0.10.199.255")"},
         {R"("256.1.1.1")", R"("1.1.1")", R"("01.1.1.1")"});
  expect(R"({"format": "ipv6"})",
         {R"("::")", R"("::1")", R"("fe80::1:2")", R"("1:2:3:4:5:6:7:8")", R"("1:2:3:4:5:6:7::")"},
         {R"("1:2:3:4:5:6:7:8:9")", R"("1::2::3")", R"(":1")", R"("12345::")"});
  expect(R"({"format": "email"})", {R"("a.b@c.de")"}, {R"("a@b")", R"("@c.de")", R"("a b@c.de")"});
  expect(R"({"format": "time", "maxLength": 9})", {R"("12:00:00Z")"}, {R"("12:00:00.5Z")"});
  expect(R"({"format": "duration"})", {R"("P3Y6M4DT12H30M5S")", R"("P2W")", R"("PT36H")"},
         {R"("P")", R"("PT")", R"("3Y")"});
  expect(R"({"format": "uri"})", {R"("https://a.bc:80/x/y?z=1#f")", R"("mailto:")"},
         {R"("//a")", R"("a b:")"});
  expect(R"({"format": "hostname"})", {R"("a-b.example")"}, {R"("-a")", R"("a-")", R"("a..b")"});
}

TEST(JsonSchema, NumbersInRanges) {
  expect(R"({"type": "integer", "minimum": -12, "maximum": 105})",
         {"-12", "-5", "0", "99", "100", "105"}, {"-13", "-20", "106", "110", "1000", "-0"});
  expect(R"({"type": "integer", "exclusiveMinimum": 9, "exclusiveMaximum": 12})", {"10", "11"},
         {"9", "12", "1"});
  expect(R"({"type": "integer", "minimum": 0.5, "maximum": 3.9})", {"1", "2", "3"}, {"0", "4"});
  expect(R"({"type": "integer", "minimum": -3.5, "maximum": -1})", {"-3", "-2", "-1"},
         {"-4", "0", "1"});
  expect(R"({"type": "integer", "minimum": 1000})", {"1000", "99999"}, {"999", "-1000"});
  expect(R"({"type": "number", "minimum": 0.5, "maximum": 2})",
         {"0.5", "0.75", "1", "1.999", "2", "2.000", "0.50"},
         {"0.4", "0", "2.001", "0.4999", "3", "-1", "1e0"});
  expect(R"({"type": "number", "exclusiveMinimum": -1.25, "exclusiveMaximum": 0})",
         {"-1.2", "-0.001", "-1"}, {"-1.25", "-1.26", "0", "-0", "-0.0", "0.1", "-1.250"});
  expect(R"({"type": "number", "exclusiveMaximum": 0.1})", {"0.09999999999999", "-5"},
         {"0.1", "0.0999999999999999999999"});
  expect(R"({"type": "number", "minimum": 1e3, "maximum": 1.5e3})", {"1000", "1499.9"},
         {"999", "1501"});
  expect(R"({"type": "number", "maximum": 1e300})", {"5"}, {});
  EXPECT_THAT(refused(R"({"type": "integer", "minimum": 5, "maximum": 4})"),
              HasSubstr("no text at all"));
  EXPECT_THAT(refused(R"({"type": "number", "minimum": 1e300})"), HasSubstr("no text at all"));
}

TEST(JsonSchema, Multiples) {
  expect(R"({"type": "integer", "multipleOf": 7})", {"0", "7", "-14", "7777"},
         {"8", "1", "77777.0"});
  expect(R"({"type": "number", "multipleOf": 0.25})", {"0.25", "1", "1.5", "-0.75", "2.250"},
         {"0.3", "0.26", "1.251"});
  expect(R"({"type": "integer", "multipleOf": 3, "minimum": 10, "maximum": 20})",
         {"12", "15", "18"}, {"10", "9", "21"});
  expect(R"({"type": "integer", "multipleOf": 0.5})", {"3"}, {"2.5"});
  expect(R"({"type": "number", "multipleOf": 100})", {"300", "300.0"}, {"30", "300.1"});
  EXPECT_THAT(refused(R"({"type": "number", "multipleOf": 3.14159265})"),
              HasSubstr("multipleOf can be"));
  EXPECT_THAT(refused(R"({"type": "number", "multipleOf": 0})"), HasSubstr("more than 0"));
}

TEST(JsonSchema, ListedValues) {
  expect(R"({"enum": ["a", 1, null, [1, 2], {"b": true}]})",
         {R"("a")", "1", "null", "[1, 2]", "[1,2]", R"({"b": true})"},
         {R"("b")", "1.0", "[1]", "{}"});
  expect(R"({"const": "é\"\n"})", {R"("é\"\n")"}, {R"("e")"});
  expect(R"({"type": "string", "enum": ["aa", "b", 3], "minLength": 2})", {R"("aa")"},
         {R"("b")", "3"});
  expect(R"({"enum": [1, 2, 3.5, 4], "type": "integer", "minimum": 2, "multipleOf": 2})",
         {"2", "4"}, {"1", "3.5"});
  expect(R"({"allOf": [{"enum": [1, 2]}, {"enum": [2.0, 3]}]})", {"2"}, {"1", "3"});
  EXPECT_THAT(refused(R"({"enum": []})"), HasSubstr("no text at all"));
  EXPECT_THAT(refused(R"({"enum": [{"a": 1}], "required": ["a"]})"), HasSubstr("not supported"));
}

TEST(JsonSchema, ObjectsInOrder) {
  const char* point =
      R"({"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"},
                          "name": {"type": "string"}}, "required": ["y"]})";
  expect(point,
         {R"({"y": 1})", R"({"x":1,"y":2})", R"({"x": 1, "y": 2, "name": "a"})",
          R"({"y": 2, "name": ""})"},
         {"{}", R"({"x": 1})", R"({"y": 1, "x": 2})", R"({"y": 1, "z": 2})", R"({"y": 1,})",
          R"({,"y": 1})", R"({"y": 1, "y": 2})", R"({"y": "1"})"});
  expect(R"({"properties": {"a": true, "b": false}})", {"{}", R"({"a": [null]})"}, {R"({"b": 1})"});
  expect(R"({"type": "object"})", {"{}", R"({"any": {"thing": 1}})", "{ }"}, {"[]"});
  expect(
      R"({"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": {"type": "boolean"}})",
      {"{}", R"({"a": 1, "b": true})", R"({"b": false, "aa": true})", R"({"": true})"},
      {R"({"a": true})", R"({"b": true, "a": 1})", R"({"b": 1})", R"({"\u0061": true})"});
  expect(R"({"type": "object", "additionalProperties": false})", {"{}"}, {R"({"a": 1})"});
  expect(R"({"type": "object", "required": ["a"], "additionalProperties": {"type": "null"}})",
         {R"({"a": null})", R"({"a": null, "b": null})"}, {"{}", R"({"a": 1})"});
  expect(
      R"({"type": "object", "patternProperties": {"^n_": {"type": "number"}, "_s$": {"type": "string"}}, "properties": {"n_a": {"minimum": 3}}})",
      {R"({"n_a": 3, "n_b": 1})", R"({"x_s": "a"})", "{}"},
      {R"({"n_a": 2})", R"({"n_x_s": 1})", R"({"b": 1})", R"({"n_b": "1"})"});
  expect(
      R"({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2})",
      {R"({"a": 1})", R"({"a": 1, "b": 2})"}, {"{}", R"({"a": 1, "b": 2, "c": 3})"});
}

TEST(JsonSchema, Arrays) {
  expect(R"({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3})",
         {"[1]", "[1, 2]", "[1,2,3]", "[\n  1,\n  2\n]"}, {"[]", "[1,2,3,4]", "[1,]", "[\"a\"]"});
  expect(
      R"({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false})",
      {"[]", R"(["a"])", R"(["a", 1])"}, {R"(["a", 1, 2])", "[1]"});
  expect(
      R"({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2})",
      {"[1, 2]", "[1, 2, 2, 2]"}, {"[1]", "[2, 2]", "[1, 1]"});
  expect(R"({"type": "array"})", {"[]", "[[], {}, null]"}, {"[", "{}"});
  expect(R"({"type": "array", "maxItems": 0})", {"[]", "[ ]"}, {"[1]"});
  expect(R"({"items": {"type": "null"}, "uniqueItems": false})", {"[null, null]"}, {"[1]", "null"});
}

TEST(JsonSchema, ChoicesAndConjunctions) {
  expect(R"({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]})", {"5", R"("a")"},
         {R"("ab")", "null"});
  expect(R"({"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"],
             "anyOf": [{"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["n"]},
                       {"properties": {"kind": {"const": "b"}}}]})",
         {R"({"kind": "a", "n": 1})", R"({"kind": "b"})"},
         {R"({"kind": "a"})", R"({"kind": "b", "n": 1})"});
  expect(R"({"oneOf": [{"type": "object", "properties": {"t": {"const": 1}}, "required": ["t"]},
                       {"type": "object", "properties": {"t": {"const": 2}, "u": {"type": "null"}}, "required": ["t"]}]})",
         {R"({"t": 1})", R"({"t": 2, "u": null})"}, {R"({"t": 1, "u": null})", R"({"t": 3})"});
  expect(R"({"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                       {"properties": {"a": {"minimum": 3}, "b": {"type": "null"}}}]})",
         {R"({"a": 3})", R"({"a": 4, "b": null})"}, {R"({"a": 2})", R"({"b": null})"});
  expect(R"({"allOf": [{"type": ["integer", "string"]}, {"type": ["number", "null"]}]})", {"1"},
         {"1.5", "null", R"("a")"});
  EXPECT_THAT(refused(R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})"),
              HasSubstr("branches 0 and 1"));
  EXPECT_THAT(refused(R"({"properties": {"a": {"oneOf": [{"minLength": 1}, {"maxLength": 3}]}}})"),
              HasSubstr("at /properties/a: the branches"));
}

TEST(JsonSchema, References) {
  expect(
      R"({"type": "object", "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
             "required": ["value", "next"]})",
      {R"({"value": 1, "next": null})", R"({"value": 1, "next": {"value": 2, "next": null}})"},
      {R"({"value": 1})", R"({"value": 1, "next": {"value": 2}})"});
  expect(
      R"({"$ref": "#/$defs/tree~1ab", "$defs": {"tree/ab": {"type": "array", "items": {"$ref": "#/$defs/tree~1ab"}}}})",
      {"[]", "[[], [[]]]"}, {"[1]", "[[]"});
  // Siblings of a reference hold too, and recursion through them ends.
  expect(
      R"({"$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"}, "c": {"$ref": "#/$defs/n"}}, "required": ["v"]}},
             "allOf": [{"$ref": "#/$defs/n"}], "properties": {"v": {"minimum": 5}, "c": {"allOf": [{"$ref": "#/$defs/n"}, {"required": ["c"]}]}}})",
      {R"({"v": 5})", R"({"v": 5, "c": {"v": 1, "c": {"v": 2}}})"},
      {R"({"v": 4})", R"({"v": 5, "c": {"v": 1}})"});
  EXPECT_THAT(
      refused(
          R"({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}})"),
      HasSubstr("leads back to itself"));
  const Automaton encoded(
      schema_grammar(parse_schema(R"({"$ref": "#/$defs/a%20b", "$defs": {"a b": {"const": 1}}})")));
  EXPECT_TRUE(follows(encoded, "1"));
  EXPECT_THAT(refused(R"({"$ref": "#/nowhere"})"), HasSubstr("leads nowhere"));
  EXPECT_THAT(refused(R"({"$ref": "http://a/b"})"), HasSubstr("does not begin with #"));
  EXPECT_THAT(refused(R"({"properties": {"a": {"$ref": "#"}}, "required": ["a"]})"),
              HasSubstr("no text at all"));
  // A schema that is one of its own alternatives says nothing that ends.
  EXPECT_THAT(refused(R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})"),
              HasSubstr("leads back to itself"));
  EXPECT_THAT(refused(R"({"allOf": [{"$ref": "#"}], "type": "null"})"),
              HasSubstr("leads back to itself"));
  // The same schema twice, side by side, is no circle.
  expect(R"({"$defs": {"a": {"anyOf": [{"const": 1}, {"const": 2}]}},
             "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]})",
         {"1", "2"}, {"3"});
}

TEST(JsonSchema, SaysWhatIsNotSupportedAndWhere) {
  for (const char* keyword : {"not", "if", "contains", "propertyNames", "dependentRequired",
                              "unevaluatedProperties", "mistyped"}) {
    const std::string schema =
        std::string(R"({"properties": {"a/b": {"items": {")") + keyword + R"(": true}}}})";
    EXPECT_THAT(refused(schema.c_str()),
                HasSubstr(std::string("at /properties/a~1b/items: the keyword '") + keyword +
                          "' is not supported"));
  }
  EXPECT_THAT(refused(R"({"uniqueItems": true})"),
              HasSubstr("at the root: the keyword 'uniqueItems'"));
  EXPECT_THAT(refused(R"({"format": "color"})"),
              HasSubstr("the format 'color' is not supported; these are: date, date-time"));
  EXPECT_THAT(refused("{\"pattern\": \"(?=a)\"}"), HasSubstr("looks around"));
  EXPECT_THAT(refused(R"({"pattern": "a\\1"})"), HasSubstr("refers back"));
  EXPECT_THAT(refused(R"({"type": "thing"})"), HasSubstr("'type' names no JSON type"));
  EXPECT_THAT(refused(R"({"minLength": -1})"), HasSubstr("'minLength'"));
  EXPECT_THAT(refused(R"({"items": [true]})"), HasSubstr("'items'"));
  EXPECT_THAT(refused(R"({"exclusiveMinimum": true})"), HasSubstr("'exclusiveMinimum'"));
  EXPECT_THAT(refused(R"({"maxLength": 1000000})"), HasSubstr("at most"));
  EXPECT_THAT(refused(R"({"minProperties": 2})"), HasSubstr("'minProperties'"));
  EXPECT_THAT(refused("{"), HasSubstr("not JSON"));
  EXPECT_THAT(refused("3"), HasSubstr("neither an object"));
  EXPECT_THAT(refused("false"), HasSubstr("no text at all"));
  EXPECT_THAT(refused(R"({"maxItems": 100000000, "items": {"type": "null"}})"),
              HasSubstr("at most"));
}

TEST(JsonSchema, HostileSchemasEndSoon) {
  // Alternatives that multiply: two to the power of 40.
  std::string many = R"({"allOf": [)";
  for (int i = 0; i < 40; ++i) many += R"({"anyOf": [{"minimum": 1}, {"minimum": 2}]},)";
  EXPECT_THAT(refused((many + "true]}").c_str()), HasSubstr("multiply"));
  EXPECT_NE(refused((many + "false]}").c_str()), "");
  EXPECT_THAT(refused(R"({"pattern": "(a|b)*a(a|b){30}"})"), HasSubstr("states"));
  EXPECT_THAT(refused(R"({"pattern": "((a{1000}){1000}){1000}"})"), HasSubstr("states"));
  std::string deep;
  for (int i = 0; i < 500; ++i) deep += R"({"items": )";
  EXPECT_THAT(refused(deep.c_str()), HasSubstr("deeper"));
}

}  // namespace
}  // namespace corral::engine
