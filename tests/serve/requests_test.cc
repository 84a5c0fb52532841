#include "serve/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "serve/api_error.h"
#include "serve/chat_json_body.h"

namespace corral::serve {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json chat_body(const json& more = json::object()) {
  json body = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}};
  body.update(more);
  return body;
}
json completion(const json& more = json::object()) {
  json body = {{"prompt", "hi"}};
  body.update(more);
  return body;
}

// What the request is refused for; "" if it is not.
std::string refused(const std::string& body, bool is_chat) {
  try {
    if (is_chat) {
      parse_chat(body);
    } else {
      parse_completion(body);
    }
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    return error.what();
  }
  return "";
}
std::string chat_refused(const json& more) { return refused(chat_body(more).dump(), true); }
std::string completion_refused(const json& more) { return refused(completion(more).dump(), false); }

// CVE-2026-21869's class: a number out of range must never reach the engine.
template <class List, class Parse>
void check_ranges(const List& fields, const Parse& parse) {
  const auto try_value = [&](const NumberField& field, const json& value) -> std::string {
    json more = {{field.name, value}};
    if (std::string_view(field.name) == "top_logprobs") more["logprobs"] = true;
    if (std::string_view(field.name) == "best_of" && value.is_number_integer() && value >= 1 &&
        value <= 16) {
      more["n"] = value;
    }
    try {
      parse(more);
    } catch (const ApiError& error) {
      EXPECT_EQ(error.status(), 400);
      return error.what();
    }
    return "";
  };
  for (const NumberField& field : fields) {
    SCOPED_TRACE(field.name);
    const auto whole = [&](double x) {
      return field.integer ? json(static_cast<int64_t>(x)) : json(x);
    };
    EXPECT_EQ(try_value(field, whole(field.low)), "");
    EXPECT_EQ(try_value(field, whole(field.high)), "");
    EXPECT_EQ(try_value(field, nullptr), "");
    const double step = field.integer ? 2 : 1e-3;
    for (const json& bad : {whole(field.low - step), whole(field.high + step), json(1e300),
                            json(-1e300), json(INT64_MIN), json(INT64_MAX), json(UINT64_MAX),
                            json("1"), json(true), json::array({1}), json::object()}) {
      EXPECT_THAT(try_value(field, bad), HasSubstr(field.name)) << bad;
    }
    if (field.integer) {
      EXPECT_THAT(try_value(field, std::floor((field.low + field.high) / 2) + 0.5),
                  HasSubstr("no whole number"));
    }
  }
}

TEST(Requests, EveryNumberOfACompletionHasARange) {
  check_ranges(number::kCompletionFields,
               [](const json& more) { parse_completion(completion(more).dump()); });
}
TEST(Requests, EveryNumberOfAChatHasARange) {
  check_ranges(number::kChatFields, [](const json& more) { parse_chat(chat_body(more).dump()); });
}

TEST(Requests, EveryNumberOfAnthropicsHasARange) {
  check_ranges(number::kMessagesFields, [](const json& more) {
    json body = chat_body({{"max_tokens", 5}});
    body.update(more);
    read_chat(chat_body_of_messages(OrderedJson::parse(body.dump()), /*counting=*/true));
  });
}
TEST(Requests, EveryNumberOfAResponseHasARange) {
  check_ranges(number::kResponsesFields, [](const json& more) {
    json body = {{"input", "hi"}};
    body.update(more);
    read_chat(chat_body_of_responses(OrderedJson::parse(body.dump()), OrderedJson::array()));
  });
}
TEST(Requests, EveryNumberOfAnEmbeddingHasARange) {
  check_ranges(number::kEmbeddingFields, [](const json& more) {
    json body = {{"input", "hi"}};
    body.update(more);
    parse_embedding(body.dump());
  });
}

// A number that the lists do not know would escape the tests above: so members that are not known
// are refused, as OpenAI's API does.
TEST(Requests, MembersThatAreNotKnownAreRefused) {
  EXPECT_THAT(chat_refused({{"some_number", 1e308}}),
              HasSubstr("Unknown parameter: 'some_number'"));
  EXPECT_THAT(completion_refused({{"temprature", 1}}), HasSubstr("'temprature'"));
  EXPECT_EQ(chat_refused({{"user", "u"}, {"store", true}, {"metadata", {{"a", "b"}}}}), "");
}

TEST(Requests, HaveTheDefaultsOfTheApi) {
  const ChatRequest request = parse_chat(chat_body().dump());
  EXPECT_EQ(request.answer.generate.sampling.temperature, 1.0);
  EXPECT_EQ(request.answer.generate.sampling.top_p, 1.0);
  EXPECT_EQ(request.answer.n, 1);
  EXPECT_FALSE(request.answer.seeded);
  EXPECT_FALSE(request.answer.max_tokens.has_value());
  EXPECT_FALSE(request.answer.generate.logprobs.has_value());
  EXPECT_EQ(parse_completion(completion().dump()).answer.max_tokens, 16);
}

TEST(Requests, ReadWhatTheySay) {
  const ChatRequest request = parse_chat(chat_body({{"model", "m"},
                                                    {"temperature", 0.5},
                                                    {"seed", -1},
                                                    {"stop", {"a", "b"}},
                                                    {"logit_bias", {{"5", -100}, {"17", 2.5}}},
                                                    {"max_completion_tokens", 7},
                                                    {"max_tokens", 5},
                                                    {"logprobs", true},
                                                    {"top_logprobs", 3},
                                                    {"stream", true},
                                                    {"stream_options", {{"include_usage", true}}},
                                                    {"n", 2}})
                                             .dump());
  EXPECT_EQ(request.answer.model, "m");
  EXPECT_EQ(request.answer.generate.sampling.seed, static_cast<uint64_t>(-1));
  EXPECT_TRUE(request.answer.seeded);
  EXPECT_EQ(request.answer.generate.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.answer.generate.sampling.logit_bias,
            (std::vector<std::pair<int32_t, double>>{{17, 2.5}, {5, -100}}));
  EXPECT_EQ(request.answer.max_tokens, 7);
  EXPECT_EQ(request.answer.generate.logprobs, 3);
  EXPECT_TRUE(request.answer.stream_usage);
  EXPECT_EQ(request.answer.n, 2);
}

TEST(Requests, NameWhatIsWrong) {
  EXPECT_THAT(completion_refused({{"stop", {1}}}), HasSubstr("stop is neither"));
  EXPECT_THAT(completion_refused({{"stop", ""}}), HasSubstr("0 bytes"));
  EXPECT_THAT(completion_refused({{"stop", std::vector<std::string>(17, "x")}}),
              HasSubstr("at most"));
  EXPECT_THAT(completion_refused({{"logit_bias", {{"x", 1}}}}), HasSubstr("no token id"));
  EXPECT_THAT(completion_refused({{"logit_bias", {{"-1", 1}}}}), HasSubstr("no token id"));
  EXPECT_THAT(completion_refused({{"logit_bias", {{"99999999999", 1}}}}), HasSubstr("no token id"));
  EXPECT_THAT(completion_refused({{"logit_bias", {{"1", 101}}}}), HasSubstr("logit_bias.1 is 101"));
  EXPECT_THAT(completion_refused({{"prompt", nullptr}}), HasSubstr("prompt is missing"));
  EXPECT_THAT(completion_refused({{"prompt", 5}}), HasSubstr("prompt is neither"));
  EXPECT_THAT(completion_refused({{"prompt", json::array()}}), HasSubstr("prompt is neither"));
  EXPECT_THAT(completion_refused({{"prompt", {1, -1}}}), HasSubstr("token"));
  EXPECT_THAT(completion_refused({{"prompt", {1, 4294967296}}}), HasSubstr("token"));
  EXPECT_THAT(completion_refused({{"prompt", {1, 1.5}}}), HasSubstr("token"));
  EXPECT_THAT(completion_refused({{"prompt", {"a", 5}}}), HasSubstr("prompt has a part"));
  EXPECT_THAT(completion_refused({{"prompt", {json::array()}}}), HasSubstr("prompt is empty"));
  EXPECT_THAT(completion_refused({{"prompt", std::vector<std::string>(65, "x")}}),
              HasSubstr("65 parts"));
  EXPECT_THAT(completion_refused({{"suffix", "x"}}), HasSubstr("suffix"));
  EXPECT_THAT(completion_refused({{"best_of", 2}}), HasSubstr("best_of"));
  EXPECT_THAT(completion_refused({{"stream_options", json::object()}}),
              HasSubstr("only for streams"));
  EXPECT_THAT(chat_refused({{"messages", json::array()}}), HasSubstr("messages"));
  EXPECT_THAT(chat_refused({{"messages", {{{"role", "admin"}, {"content", "x"}}}}}),
              HasSubstr("the role 'admin'"));
  EXPECT_THAT(chat_refused({{"messages", {{{"content", "x"}}}}}), HasSubstr("message 0"));
  EXPECT_THAT(chat_refused({{"top_logprobs", 2}}), HasSubstr("needs logprobs"));
  EXPECT_THAT(chat_refused({{"tools", 1}}), HasSubstr("tools is no list"));
  EXPECT_THAT(chat_refused({{"tools", {{{"type", "function"}}}}}), HasSubstr("tools has a part"));
  EXPECT_THAT(chat_refused({{"prediction", "x"}}), HasSubstr("prediction is no {"));
  EXPECT_THAT(chat_refused({{"prediction", {{"type", "poem"}, {"content", "x"}}}}),
              HasSubstr("prediction is no {"));
  EXPECT_THAT(chat_refused({{"prediction", {{"type", "content"}}}}),
              HasSubstr("prediction is no {"));
  EXPECT_THAT(chat_refused({{"prediction", {{"type", "content"}, {"content", 5}}}}),
              HasSubstr("a content that is no text"));
  EXPECT_THAT(chat_refused({{"prediction", {{"type", "content"}, {"content", {"x"}}}}}),
              HasSubstr("prediction has a part"));
  EXPECT_THAT(chat_refused({{"tool_choice", "required"}}), HasSubstr("tool_choice"));
  EXPECT_THAT(chat_refused({{"tool_choice", "sometimes"}}), HasSubstr("tool_choice"));
  EXPECT_THAT(chat_refused({{"response_format", {{"type", "poem"}}}}),
              HasSubstr("response_format has the type 'poem'"));
  EXPECT_THAT(chat_refused({{"response_format", {{"type", "json_schema"}}}}),
              HasSubstr("response_format.json_schema is no object"));
  EXPECT_THAT(chat_refused({{"response_format", {{"type", "json_object"}}}, {"ignore_eos", true}}),
              HasSubstr("ignore_eos"));
}

TEST(Requests, RefuseJsonThatIsTooDeepOrTooWide) {
  std::string deep = R"({"x":)" + std::string(40, '[') + std::string(40, ']') + "}";
  EXPECT_THAT(refused(deep, true), HasSubstr("deeper than 32"));
  json wide = json::object();
  for (int i = 0; i < 1001; ++i) wide[std::to_string(i)] = i;
  EXPECT_THAT(chat_refused({{"metadata", wide}}), HasSubstr("1001 members"));
  EXPECT_THAT(refused("[]", true), HasSubstr("no JSON object"));
  EXPECT_THAT(refused("{\"a\":1,\"a\":2}", true), HasSubstr("twice"));
  EXPECT_THAT(refused("{", true), HasSubstr("not JSON"));
  EXPECT_THAT(refused("", true), HasSubstr("not JSON"));
}

TEST(Requests, ToolsAreLeftOutWhenNotWanted) {
  const json tools = {{{"type", "function"}, {"function", {{"name", "f"}}}}};
  EXPECT_NE(parse_chat(chat_body({{"tools", tools}}).dump()).tools, "");
  EXPECT_EQ(parse_chat(chat_body({{"tools", tools}, {"tool_choice", "none"}}).dump()).tools, "");
  EXPECT_EQ(parse_chat(chat_body({{"tools", json::array()}}).dump()).tools, "");
}

}  // namespace
}  // namespace corral::serve
