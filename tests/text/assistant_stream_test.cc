#include "text/assistant_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "text/goldens.h"
#include "text/utf8_stream.h"

namespace corral::test {
namespace {

using text::AssistantStream;
using text::parse_assistant;
using text::ParsedAnswer;
using text::ToolCall;
using Calls = std::vector<ToolCall>;

std::string shown_of(const ParsedAnswer& answer) {
  return answer.tool_calls.empty() ? answer.content : answer.text_before_calls;
}

/// Pushes the pieces that `cuts` make of the answer and compares with reading it whole.
void expect_same_in_pieces(const std::string& answer, const std::vector<size_t>& cuts) {
  const ParsedAnswer whole = parse_assistant(answer);
  AssistantStream stream;
  std::string shown;
  size_t begin = 0;
  for (const size_t cut : cuts) {
    shown += stream.push(std::string_view(answer).substr(begin, cut - begin));
    EXPECT_TRUE(shown_of(whole).starts_with(shown)) << answer << " showed " << shown;
    begin = cut;
  }
  shown += stream.push(std::string_view(answer).substr(begin));
  const AssistantStream::End end = stream.finish();
  EXPECT_EQ(shown + end.text, shown_of(whole)) << answer;
  EXPECT_EQ(end.answer.content, whole.content) << answer;
  EXPECT_EQ(end.answer.tool_calls, whole.tool_calls) << answer;
  EXPECT_EQ(end.answer.stop_reason, whole.stop_reason) << answer;
}

void expect_same_however_cut(const std::string& answer) {
  std::vector<size_t> everywhere;
  for (size_t cut = 0; cut <= answer.size(); ++cut) {
    expect_same_in_pieces(answer, {cut});
    everywhere.push_back(cut);
  }
  expect_same_in_pieces(answer, everywhere);
}

/// What models wrote that parsers of others took for text, cut, or failed on.
const std::vector<std::string>& corpus() {
  static const std::vector<std::string> answers = {
      // text first
      "Let me check the weather.\n\n[get_weather(city=\"Oslo\")]<|eot|>",
      "Sure. {\"type\": \"function\", \"name\": \"f\", \"parameters\": {\"x\": 1}}<|eom|>",
      "I look it up: <function=find>{\"q\": \"x\"}</function><|eom|>",
      "I ask wolfram_alpha.call(query=\"1+1\")<|eom|>",
      // nested lists
      "[f(m=[[1, 2], [3, [4, 5]]], d={\"a\": [{\"b\": []}]}), g(x=[])]<|eot|>",
      // JSON form
      "{\"name\": \"f\", \"parameters\": {\"a\": [1, {\"b\": null}]}}; {\"name\": \"g\", "
      "\"arguments\": {}}<|eot|>",
      "[{\"name\": \"f\", \"parameters\": {}}, {\"name\": \"g\", \"parameters\": {\"s\": "
      "\"\\ud83d\\ude00\"}}]<|eot|>",
      // a missing bracket
      "[f(x=1), g(y=[2])<|eot|>", "Wait. [f(x=\"]\")", "[f(x=1),",
      // text that only begins like a call
      "[see](https://example.com) [1] {x} {\"a\": 1} [f(x)] a < b <fun x.call(y) <|eo",
      "{\"foo\": [1, 2]}<|eot|>", "[f(x=1)] and more", "[f(x=1", "<function=f>{",
      "a.call(query=\"x", "x = {\"name\": \"f\", \"parameters\": {}} is an example",
      "ends in spaces   ", "   ", "", "{\"name\": \"f\", \"parameters\": {}} {",
      "<|eot|> inside <|eom|> text <|eot|>  ",
      // code
      "<|python_start|>x = [f(a=1)]\nprint(x)<|python_end|><|eom|>",
      "<|python_start|>[f(a=1)]<|python_end|><|eot|>",
      "<|python_start|>plan<|python_end|>{\"name\": \"f\", \"parameters\": {}}<|eot|>",
      // other alphabets, and a header
      "\u4f60\u597d\uff0c\u6211\u67e5\u4e00\u4e0b [f(x=\"\u5929\u6c14 \U0001F642\")]<|eot|>",
      "  <|header_start|>assistant<|header_end|>\n\n Hi [f()]<|eot|> "};
  return answers;
}

TEST(AssistantStream, FactsRow29_ReadsTheSameCutAtEveryByte) {
  for (const std::string& answer : corpus()) expect_same_however_cut(answer);
  const auto golden = read_json(data_dir() / "chat/parse.json");
  ASSERT_GT(golden["cases"].size(), 30u);
  for (const auto& c : golden["cases"]) expect_same_however_cut(c["content"].get<std::string>());
}

TEST(AssistantStream, FactsRow29_ReadsTheSameInRandomPiecesOfRandomAnswers) {
  const std::vector<std::string> parts = {"[",
                                          "]",
                                          "{",
                                          "}",
                                          "(",
                                          ")",
                                          "f",
                                          "g(x=1)",
                                          "[f(a=",
                                          "\"",
                                          "'",
                                          ",",
                                          " ",
                                          "\n",
                                          "1",
                                          "=",
                                          ":",
                                          "<function=",
                                          "f>{",
                                          "</function>",
                                          ".call(query=\"",
                                          "\")",
                                          "<|eot|>",
                                          "<|eo",
                                          "text",
                                          "{\"name\": \"f\", \"parameters\": {",
                                          "\"a\": 1",
                                          "\\",
                                          "True",
                                          "[{",
                                          "}]",
                                          "\"name\": \"g\"",
                                          "<|python_start|>",
                                          "<|python_end|>",
                                          "<|header_start|>assistant<|header_end|>\n\n",
                                          "]]",
                                          "é"};
  const Philox random(29);
  uint64_t draw = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string answer;
    const uint64_t length = 1 + random.below(9, draw++);
    for (uint64_t j = 0; j < length; ++j) answer += parts[random.below(parts.size(), draw++)];
    std::vector<size_t> cuts;
    for (size_t at = 0; at < answer.size(); at += 1 + random.below(6, draw++)) cuts.push_back(at);
    expect_same_in_pieces(answer, cuts);
    if (HasFailure()) return;
  }
}

TEST(AssistantStream, ShowsProseAtOnce) {
  AssistantStream stream;
  EXPECT_EQ(stream.push("Once upon a "), "Once upon a");
  EXPECT_EQ(stream.push("time"), " ");  // the word may be the name of a function
  EXPECT_EQ(stream.push(", [1] "), "time, [1]");
  EXPECT_EQ(stream.push("{x} [link](url)"), " {x} [link](url)");
  EXPECT_EQ(stream.push("\u4f60\u597d"), "\u4f60\u597d");
  EXPECT_EQ(stream.push(" <|eot|>"), "");
  const AssistantStream::End end = stream.finish();
  EXPECT_EQ(end.text, " ");
  EXPECT_EQ(end.answer.stop_reason, text::StopReason::kEndOfTurn);
}

TEST(AssistantStream, ShowsNothingOfACall) {
  AssistantStream stream;
  EXPECT_EQ(stream.push("Sure. [get_weather(ci"), "Sure. ");
  EXPECT_EQ(stream.push("ty=\"Oslo\")"), "");
  EXPECT_EQ(stream.push("]"), "");
  const AssistantStream::End end = stream.finish(text::StopReason::kEndOfTurn);
  EXPECT_EQ(end.text, "");
  EXPECT_EQ(end.answer.tool_calls, (Calls{{"get_weather", "{\"city\": \"Oslo\"}"}}));
  EXPECT_EQ(stream.push("again, "), "again,");  // empty, ready for the next answer
}

TEST(AssistantStream, GivesBackWhatTurnsOutToBeNoCall) {
  AssistantStream stream;
  EXPECT_EQ(stream.push("[f(x=1)"), "");
  EXPECT_EQ(stream.push("] is a call"), "[f(x=1)] is a ");
  EXPECT_EQ(stream.finish().text, "call");
}

TEST(AssistantStream, TakesLongArgumentsInLinearTime) {
  const std::string begin = "[f(x=\"";
  AssistantStream stream;
  stream.push(begin);
  for (int i = 0; i < 100'000; ++i) EXPECT_EQ(stream.push("words "), "");
  stream.push("\")]");
  EXPECT_EQ(stream.finish().answer.tool_calls.size(), 1u);
}

// Each object in a row might begin the calls that end the text. Objects that go wrong at the end,
// objects that stop in the middle, and those that JSON takes but not a call.
TEST(AssistantStream, TakesManyCallsThatAreNoneInLinearTime) {
  const std::string call = "{\"name\": \"f\", \"parameters\": {}}, ";
  const std::string other = "{\"name\": \"f\", \"parameters\": {\"a\": 01}}; ";
  for (const auto& [unit, end] :
       {std::pair{call, "no more"}, {call, "{\"name\": \"f"}, {call + other, "{\"name\": \"f"}}) {
    for (const char* begin : {"", "["}) {
      std::string answer = begin;
      while (answer.size() < 500'000) answer += unit;
      answer += end;
      const auto start = std::chrono::steady_clock::now();
      EXPECT_TRUE(text::parse_assistant(answer).tool_calls.empty()) << begin << unit << end;
      AssistantStream stream;
      std::string shown;
      for (size_t at = 0; at < answer.size(); at += 8) shown += stream.push(answer.substr(at, 8));
      EXPECT_EQ(shown + stream.finish().text, answer);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      // Far above what it takes; the square of the objects needs minutes.
      EXPECT_LT(taken.count(), 20.0) << begin << unit << end;
    }
  }
}

}  // namespace
}  // namespace corral::test
