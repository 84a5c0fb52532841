#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "text/chat.h"
#include "text/python_json.h"
#include "text/python_literal.h"
#include "text/tool_calls.h"

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

TEST(AssistantParser, FactsRow29_ReadsCallsBehindText) {
  for (const auto& [before, calls] : std::vector<std::pair<std::string, std::string>>{
           {"Let me check.\n\n", "[f(x=1), g()]"},
           {"Sure. ", R"({"name": "f", "parameters": {"x": 1}}{"name": "g", "parameters": {}})"},
           {"See [1] and {this}: ", R"({"type": "function", "name": "f", "parameters": {"x": 1}};
             {"name": "g", "arguments": {}})"}}) {
    const auto answer = parse_assistant(before + calls + "<|eot|>");
    EXPECT_EQ(answer.tool_calls, (Calls{{"f", "{\"x\": 1}"}, {"g", "{}"}})) << calls;
    EXPECT_EQ(answer.content, before);
    EXPECT_EQ(answer.text_before_calls, before);
    EXPECT_EQ(answer.stop_reason, text::StopReason::kEndOfTurn);
  }
  const auto tagged = parse_assistant("So: <function=f>{\"x\": 1}</function>");
  EXPECT_EQ(tagged.content, "");  // as the reference
  EXPECT_EQ(tagged.text_before_calls, "So: ");
}

TEST(AssistantParser, FactsRow29_ReadsNestedLists) {
  EXPECT_EQ(parse_assistant("[plot(points=[[1, 2], [3, [4.5, -6]]], o={'a': [[]]})]").tool_calls,
            (Calls{{"plot", R"({"points": [[1, 2], [3, [4.5, -6]]], "o": {"a": [[]]}})"}}));
}

TEST(AssistantParser, FactsRow29_ForgivesAMissingBracket) {
  const Calls two = {{"f", "{\"x\": [1]}"}, {"g", "{}"}};
  EXPECT_EQ(parse_assistant("[f(x=[1]), g()<|eot|>").tool_calls, two);
  EXPECT_EQ(parse_assistant("Well. [f(x=[1]), g(),").tool_calls, two);
  EXPECT_TRUE(parse_assistant("[f(x=[1]), g(").tool_calls.empty());
  EXPECT_TRUE(parse_assistant("[f(x=[1)").tool_calls.empty());
}

TEST(AssistantParser, FactsRow29_ReadsJsonCallsInAnArray) {
  EXPECT_EQ(parse_assistant(R"([{"name": "f", "parameters": {"a": [true, null, 1.5, "s", {}]}},
      {"name": "g", "parameters": {}}])")
                .tool_calls,
            (Calls{{"f", R"({"a": [true, null, 1.5, "s", {}]})"}, {"g", "{}"}}));
  EXPECT_TRUE(parse_assistant(R"([{"name": "f", "parameters": {}}, 1])").tool_calls.empty());
}

TEST(AssistantParser, ReadsBackTheCallsOfEveryFormatWithArgumentsOfAnyType) {
  const std::string arguments =
      R"({"text": "it's \"so\"", "n": -3, "x": 0.5, "yes": true, "no": false, "none": null, )"
      R"("list": [1, ["a", {}]], "object": {"k": {"l": []}}, "empty": ""})";
  const Calls calls = {{"find_it", arguments}, {"g", "{}"}};
  for (const auto format : {text::ToolPromptFormat::kJson, text::ToolPromptFormat::kFunctionTag}) {
    std::string answer;
    for (const ToolCall& call : calls) answer += text::tool_call_text(call, format);
    EXPECT_EQ(parse_assistant(answer + "<|eom|>").tool_calls, calls) << answer;
  }
  // A Python list does not escape quotes: the reference writes them as they are.
  const ToolCall call{"f", R"({"n": -3, "x": 0.5, "yes": true, "none": null, "s": "it's",)"
                           R"( "list": [1, ["a", {}]], "object": {"k": {"l": []}}})"};
  EXPECT_EQ(
      parse_assistant(text::tool_call_text(call, text::ToolPromptFormat::kPythonList)).tool_calls,
      Calls{call});
}

TEST(AssistantParser, ReadsCallsBehindCodeInTheFormOfTransformers) {
  const auto answer = parse_assistant(
      R"(<|python_start|>I look.<|python_end|>{"name": "f", "parameters": {}}<|eot|>)");
  EXPECT_EQ(answer.tool_calls, (Calls{{"f", "{}"}}));
  const auto code = parse_assistant("<|python_start|>x = [f(a=1)]<|python_end|><|eom|>");
  EXPECT_EQ(code.tool_calls, (Calls{{"code_interpreter", "{\"code\": \"x = [f(a=1)]\"}"}}));
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
