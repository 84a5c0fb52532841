#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "text/chat.h"
#include "text/python_json.h"
#include "text/python_literal.h"

namespace corral::test {
namespace {

using text::parse_assistant;
using text::ToolCall;
using Calls = std::vector<ToolCall>;

TEST(AssistantParser, ReadsSeveralCallsInEveryFormat) {
  const Calls two = {{"f", "{\"x\": 1}"}, {"g", "{}"}};
  EXPECT_EQ(parse_assistant("[f(x=1), g()]").tool_calls, two);
  EXPECT_EQ(parse_assistant(R"({"name": "f", "parameters": {"x": 1}}
    {"type": "function", "name": "g", "parameters": {}})")
                .tool_calls,
            two);
  EXPECT_EQ(
      parse_assistant("<function=f>{\"x\": 1}</function><function=g>{}</function>").tool_calls,
      two);
}

TEST(AssistantParser, ReadsNestedArguments) {
  EXPECT_EQ(parse_assistant(R"(<function=f>{"a": {"b": "}"}, "c": "it's"}</function>)").tool_calls,
            (Calls{{"f", R"({"a": {"b": "}"}, "c": "it's"})"}}));
  EXPECT_EQ(parse_assistant("[f(a={'b': [1, (2, 3)], 'c': {x=None}})]").tool_calls,
            (Calls{{"f", R"({"a": {"b": [1, [2, 3]], "c": {"x": null}}})"}}));
}

TEST(AssistantParser, ReadsBackWhatTheFormatWrites) {
  const ToolCall call{"find", R"({"q": "x y", "n": [1, 2.5, true, null], "o": {"k": "v"}})"};
  EXPECT_EQ(
      parse_assistant(R"([find(q="x y", n=[1, 2.5, True, None], o={k="v"})]<|eom|>)").tool_calls,
      Calls{call});
}

TEST(AssistantParser, LeavesTextThatOnlyLooksLikeACallAlone) {
  for (const std::string text : {"[f(x)]",
                                 "[f(x=y)]",
                                 "[f(x=1)] and more",
                                 "[f(x=1), 2]",
                                 "f(x=1)",
                                 "[f(x=1",
                                 "[f(x=1, x=2)]",
                                 "{\"name\": \"f\"}",
                                 "{\"name\": 3, \"parameters\": {}}",
                                 "<function=>{}</function>",
                                 "<function=f>",
                                 "<function=f>{",
                                 "x.call(query=\"",
                                 ".call(query=\"x\")",
                                 "[f(x='a\nb')]",
                                 "[f(x='\\ud800')]",
                                 "[f(x=1e999)]",
                                 "[f(x=007)]",
                                 "{",
                                 "[",
                                 "<|python_end|>"}) {
    const auto answer = parse_assistant(text);
    EXPECT_TRUE(answer.tool_calls.empty()) << text;
    EXPECT_EQ(answer.content, text);
  }
}

TEST(AssistantParser, SurvivesHostileAnswers) {
  for (const std::string opening :
       {"[", "{", "{\"a\":", "[f(x=", "[f(x=[", "(", "<function=f>{", "[f(x={'a':"}) {
    std::string deep;
    while (deep.size() < 200'000) deep += opening;
    EXPECT_TRUE(parse_assistant(deep).tool_calls.empty());
    EXPECT_TRUE(parse_assistant("[f(x=" + deep).tool_calls.empty());
    EXPECT_TRUE(parse_assistant("{\"name\": \"f\", \"parameters\": " + deep).tool_calls.empty());
  }
  const Philox random(9);
  const std::string seed =
      R"(<|python_start|>[f(x='a\x41', y={"b": -1.5e3})]<function=g>{"c": [1]}</function><|eom|>)";
  for (uint64_t i = 0; i < 3000; ++i) {
    std::string bad = seed;
    for (uint64_t j = 0; j < 3; ++j) {
      bad[random.below(bad.size(), 8 * i + j)] =
          static_cast<char>(random.below(256, 8 * i + 4 + j));
    }
    parse_assistant(bad);
  }
}

TEST(PythonLiteral, ReadsStringsNumbersAndEscapes) {
  const auto read = [](const std::string& text) {
    const auto value = text::parse_python_literal(text);
    return value && value->second == text.size() ? text::python_json(value->first) : "none";
  };
  EXPECT_EQ(read(R"('a' "b")"), R"("ab")");
  EXPECT_EQ(read(R"('\n\x41\u00e9\101\q')"), R"("\nA\u00e9A\\q")");
  EXPECT_EQ(read(R"(r'\n')"), R"("\\n")");
  EXPECT_EQ(read("'''a\nb'''"), R"("a\nb")");
  EXPECT_EQ(read("0x1F"), "31");
  EXPECT_EQ(read("1_000"), "1000");
  EXPECT_EQ(read("-1.5e-7"), "-1.5e-07");
  EXPECT_EQ(read("(1,)"), "[1]");
  EXPECT_EQ(read("(1)"), "1");
  EXPECT_EQ(read("[1, ]"), "[1]");
  EXPECT_EQ(read("nope"), "none");
  EXPECT_EQ(read(""), "none");
}

TEST(PythonJson, WritesFloatsAsPythonDoes) {
  EXPECT_EQ(text::python_float(1.0), "1.0");
  EXPECT_EQ(text::python_float(0.1), "0.1");
  EXPECT_EQ(text::python_float(1e15), "1000000000000000.0");
  EXPECT_EQ(text::python_float(1e16), "1e+16");
  EXPECT_EQ(text::python_float(1.5e-5), "1.5e-05");
  EXPECT_EQ(text::python_float(0.0001), "0.0001");
  EXPECT_EQ(text::python_float(-0.0), "-0.0");
  EXPECT_EQ(text::python_float(5e-324), "5e-324");
}

}  // namespace
}  // namespace corral::test
