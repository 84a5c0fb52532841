// Anthropic's API.
#include <gmock/gmock.h>

#include "serve/api_error.h"
#include "serve/chat_json_body.h"
#include "serve/image_server_fixture.h"
#include "serve/server_fixture.h"

namespace corral::serve {
namespace {

using nlohmann::json;
using test::Reply;
using ::testing::HasSubstr;

json hello(const json& more = json::object()) {
  json body = {{"model", "tiny"},
               {"max_tokens", 12},
               {"temperature", 0},
               {"messages", {{{"role", "user"}, {"content", "hello"}}}}};
  body.update(more);
  return body;
}

OrderedJson chat_of_messages(const json& body) {
  return chat_body_of_messages(OrderedJson::parse(body.dump()), /*counting=*/false);
}

std::string message_refusal(const json& more) {
  try {
    chat_of_messages(hello(more));
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    return error.what();
  }
  return "";
}

/// The names of a stream's events in order, and their payloads.
std::vector<std::string> names(const Reply& reply) {
  std::vector<std::string> result;
  for (const std::string& event : reply.events()) result.push_back(json::parse(event)["type"]);
  return result;
}

class Messages : public test::ServerTest {
 protected:
  std::string text_of(const json& message) const {
    return message["content"].empty() ? "" : message["content"][0]["text"].get<std::string>();
  }
};

TEST_F(Messages, AnswerAsAChatDoes) {
  start();
  const Reply reply = post("/v1/messages", hello());
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json body = reply.json();
  EXPECT_EQ(body["type"], "message");
  EXPECT_EQ(body["role"], "assistant");
  EXPECT_THAT(body["id"].get<std::string>(), HasSubstr("msg_"));
  const json chat =
      post("/v1/chat/completions",
           {{"messages", hello()["messages"]}, {"max_tokens", 12}, {"temperature", 0}})
          .json();
  EXPECT_EQ(text_of(body), chat["choices"][0]["message"]["content"]);
  EXPECT_EQ(body["stop_reason"],
            chat["choices"][0]["finish_reason"] == "length" ? "max_tokens" : "end_turn");
  EXPECT_EQ(body["usage"]["output_tokens"], chat["usage"]["completion_tokens"]);
  EXPECT_EQ(body["usage"]["input_tokens"].get<int64_t>() +
                body["usage"]["cache_read_input_tokens"].get<int64_t>(),
            chat["usage"]["prompt_tokens"]);
  const json count = post("/v1/messages/count_tokens", {{"messages", hello()["messages"]}}).json();
  EXPECT_EQ(count["input_tokens"], chat["usage"]["prompt_tokens"]);
}

TEST_F(Messages, StreamTheirEventsInOrder) {
  start();
  const Reply whole = post("/v1/messages", hello());
  const Reply reply = post("/v1/messages", hello({{"stream", true}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_THAT(reply.body, HasSubstr("event: message_start\ndata: "));
  const auto order = names(reply);
  ASSERT_GE(order.size(), 5u);
  EXPECT_EQ(order[0], "message_start");
  EXPECT_EQ(order[1], "content_block_start");
  EXPECT_EQ(order[order.size() - 3], "content_block_stop");
  EXPECT_EQ(order[order.size() - 2], "message_delta");
  EXPECT_EQ(order.back(), "message_stop");
  std::string text;
  for (const std::string& event : reply.events()) {
    const json one = json::parse(event);
    if (one["type"] == "content_block_delta") text += one["delta"]["text"].get<std::string>();
    if (one["type"] == "message_delta") {
      EXPECT_EQ(one["delta"]["stop_reason"], whole.json()["stop_reason"]);
      EXPECT_EQ(one["usage"]["output_tokens"], whole.json()["usage"]["output_tokens"]);
    }
  }
  EXPECT_EQ(text, text_of(whole.json()));
}

TEST_F(Messages, SayWhichTextStoppedThem) {
  start();
  const std::string text = text_of(post("/v1/messages", hello()).json());
  const auto plain = std::ranges::find_if(text, [](char c) { return c > 0; });  // one whole letter
  ASSERT_NE(plain, text.end());
  const std::string stop(1, *plain);
  const json body = post("/v1/messages", hello({{"stop_sequences", {"never this", stop}}})).json();
  EXPECT_EQ(body["stop_reason"], "stop_sequence");
  EXPECT_EQ(body["stop_sequence"], stop);
  EXPECT_EQ(text_of(body), text.substr(0, text.find(stop)));
}

TEST_F(Messages, ErrorsHaveAnthropicsForm) {
  start([](ServerOptions& options, engine::SchedulerOptions&) { options.api_keys = {"secret"}; });
  const auto ask = [&](const std::string& body, const std::string& header) {
    return test::ask(server->port(), "POST", "/v1/messages", body, header);
  };
  const Reply stranger = ask(hello().dump(), "x-api-key: other\r\n");
  EXPECT_EQ(stranger.status, 401);
  EXPECT_EQ(stranger.json()["type"], "error");
  EXPECT_EQ(stranger.json()["error"]["type"], "authentication_error");
  EXPECT_EQ(ask(hello().dump(), "x-api-key: secret\r\n").status, 200);
  const Reply bad = ask(hello({{"max_tokens", nullptr}}).dump(), "x-api-key: secret\r\n");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.json()["error"]["type"], "invalid_request_error");
  EXPECT_THAT(bad.json()["error"]["message"].get<std::string>(),
              HasSubstr("max_tokens is missing"));
  EXPECT_EQ(ask(hello({{"model", "other"}}).dump(), "x-api-key: secret\r\n").status, 404);
}

TEST(MessagesBody, BecomesAChat) {
  const json body =
      hello({{"system", {{{"type", "text"}, {"text", "be kind"}, {"cache_control", nullptr}}}},
             {"tools",
              {{{"name", "add"}, {"description", "adds"}, {"input_schema", {{"type", "object"}}}}}},
             {"tool_choice", {{"type", "any"}, {"disable_parallel_tool_use", true}}},
             {"messages",
              {{{"role", "user"}, {"content", "1 + 1?"}},
               {{"role", "assistant"},
                {"content",
                 {{{"type", "thinking"}, {"thinking", "hm"}},
                  {{"type", "text"}, {"text", "let me see"}},
                  {{"type", "tool_use"}, {"id", "t1"}, {"name", "add"}, {"input", {{"a", 1}}}}}}},
               {{"role", "user"},
                {"content",
                 {{{"type", "tool_result"}, {"tool_use_id", "t1"}, {"content", "2"}},
                  {{"type", "image"},
                   {"source", {{"type", "base64"}, {"media_type", "image/png"}, {"data", "AAAA"}}}},
                  {{"type", "text"}, {"text", "sure?"}}}}}}}});
  const OrderedJson chat = chat_of_messages(body);
  ASSERT_EQ(chat["messages"].size(), 5u);
  EXPECT_EQ(chat["messages"][0]["role"], "system");
  EXPECT_EQ(chat["messages"][2]["content"].size(), 1u);
  EXPECT_EQ(chat["messages"][2]["tool_calls"][0]["function"]["arguments"], R"({"a":1})");
  EXPECT_EQ(chat["messages"][3]["role"], "tool");
  EXPECT_EQ(chat["messages"][3]["tool_call_id"], "t1");
  EXPECT_EQ(chat["messages"][4]["content"][0]["image_url"]["url"], "data:image/png;base64,AAAA");
  EXPECT_EQ(chat["tools"][0]["function"]["parameters"]["type"], "object");
  EXPECT_EQ(chat["tool_choice"], "required");
  EXPECT_EQ(chat["parallel_tool_calls"], false);
}

TEST(MessagesBody, NamesWhatIsWrong) {
  EXPECT_THAT(message_refusal({{"temprature", 1}}), HasSubstr("Unknown parameter: 'temprature'"));
  EXPECT_THAT(message_refusal({{"thinking", {{"type", "enabled"}}}}), HasSubstr("thinking"));
  EXPECT_THAT(message_refusal({{"messages", {{{"role", "system"}, {"content", "x"}}}}}),
              HasSubstr("neither user nor assistant"));
  EXPECT_THAT(message_refusal({{"messages", {{{"role", "assistant"}, {"content", "x"}}}}}),
              HasSubstr("must end with what the user says"));
  EXPECT_THAT(message_refusal({{"messages", {{{"role", "user"}, {"content", 5}}}}}),
              HasSubstr("content"));
  EXPECT_THAT(
      message_refusal({{"messages", {{{"role", "user"}, {"content", {{{"type", "audio"}}}}}}}}),
      HasSubstr("'audio' is not known"));
  EXPECT_THAT(message_refusal({{"tools", {{{"type", "bash_20250124"}, {"name", "bash"}}}}}),
              HasSubstr("custom"));
  EXPECT_THAT(message_refusal({{"tools", {{{"name", "x"}}}}}), HasSubstr("input_schema"));
  EXPECT_THAT(message_refusal({{"tool_choice", {{"type", "some"}}}}),
              HasSubstr("none of auto, any"));
  EXPECT_THAT(message_refusal({{"temperature", 1.5}}), HasSubstr("temperature is 1.5"));
  EXPECT_THAT(message_refusal({{"system", 5}}), HasSubstr("system"));
  EXPECT_EQ(message_refusal({{"metadata", {{"user_id", "x"}}}}), "");
}

using SightedMessages = test::SightedServer;

TEST_F(SightedMessages, SeePictures) {
  start();
  const std::string red = engine::fixture::picture(8, 8, 255, 0, 0);
  const json image = {
      {"type", "image"},
      {"source", {{"type", "base64"}, {"media_type", "image/bmp"}, {"data", base64_encode(red)}}}};
  const json body = {
      {"max_tokens", 12},
      {"temperature", 0},
      {"messages", {{{"role", "user"}, {"content", {image, {{"type", "text"}, {"text", "?"}}}}}}}};
  const Reply reply = post("/v1/messages", body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["usage"]["input_tokens"], ask({red}, "?").tokens.size());
}

}  // namespace
}  // namespace corral::serve
