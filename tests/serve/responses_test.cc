// OpenAI's Responses API.
#include <gmock/gmock.h>

#include "serve/api_error.h"
#include "serve/chat_json_body.h"
#include "serve/response_store.h"
#include "serve/server_fixture.h"

namespace corral::serve {
namespace {

using nlohmann::json;
using test::Reply;
using ::testing::HasSubstr;

json body_of(const json& more = json::object()) {
  json body = {
      {"model", "tiny"}, {"input", "hello"}, {"max_output_tokens", 12}, {"temperature", 0}};
  body.update(more);
  return body;
}

OrderedJson chat_of_response(const json& body, const OrderedJson& earlier = OrderedJson::array()) {
  return chat_body_of_responses(OrderedJson::parse(body.dump()), earlier);
}

std::string response_refusal(const json& more) {
  try {
    chat_of_response(body_of(more));
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    return error.what();
  }
  return "";
}

class Responses : public test::ServerTest {
 protected:
  static std::string text_of(const json& response) {
    return response["output"][0]["content"][0]["text"];
  }
  std::string chat(const json& messages) const {
    const Reply reply = post("/v1/chat/completions",
                             {{"messages", messages}, {"max_tokens", 12}, {"temperature", 0}});
    return reply.json()["choices"][0]["message"]["content"];
  }
};

TEST_F(Responses, AnswerAsAChatDoes) {
  start();
  const Reply reply = post("/v1/responses", body_of({{"instructions", "be kind"}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json body = reply.json();
  EXPECT_EQ(body["object"], "response");
  EXPECT_EQ(body["instructions"], "be kind");
  EXPECT_EQ(text_of(body), chat({{{"role", "system"}, {"content", "be kind"}},
                                 {{"role", "user"}, {"content", "hello"}}}));
  const bool cut = body["status"] == "incomplete";
  EXPECT_EQ(body["incomplete_details"].is_null(), !cut);
  EXPECT_LE(body["usage"]["output_tokens"], 12);
}

TEST_F(Responses, GoOnFromThePreviousOne) {
  start();
  const json first = post("/v1/responses", body_of({{"instructions", "be kind"}})).json();
  const Reply reply = post(
      "/v1/responses", body_of({{"input", "and then?"}, {"previous_response_id", first["id"]}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(text_of(reply.json()), chat({{{"role", "user"}, {"content", "hello"}},
                                         {{"role", "assistant"}, {"content", text_of(first)}},
                                         {{"role", "user"}, {"content", "and then?"}}}));
  const std::string path = "/v1/responses/" + first["id"].get<std::string>();
  EXPECT_EQ(get(path).json(), first);
  EXPECT_EQ(test::ask(server->port(), "DELETE", path).status, 200);
  EXPECT_EQ(get(path).status, 404);
  const Reply gone = post("/v1/responses", body_of({{"previous_response_id", first["id"]}}));
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(gone.json()["error"]["code"], "previous_response_not_found");
  const json unkept = post("/v1/responses", body_of({{"store", false}})).json();
  EXPECT_EQ(get("/v1/responses/" + unkept["id"].get<std::string>()).status, 404);
}

TEST_F(Responses, StreamTheirEventsInOrder) {
  start();
  const std::string text = text_of(post("/v1/responses", body_of()).json());
  const Reply reply = post("/v1/responses", body_of({{"stream", true}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  std::vector<std::string> names;
  std::string streamed;
  json last;
  for (const std::string& event : reply.events()) {
    last = json::parse(event);
    EXPECT_EQ(last["sequence_number"], names.size());
    names.push_back(last["type"]);
    if (names.back() == "response.output_text.delta") streamed += last["delta"].get<std::string>();
  }
  ASSERT_GE(names.size(), 8u);
  EXPECT_EQ(names[0], "response.created");
  EXPECT_EQ(names[1], "response.in_progress");
  EXPECT_EQ(names[2], "response.output_item.added");
  EXPECT_EQ(names[3], "response.content_part.added");
  EXPECT_EQ(names[names.size() - 4], "response.output_text.done");
  EXPECT_EQ(names[names.size() - 3], "response.content_part.done");
  EXPECT_EQ(names[names.size() - 2], "response.output_item.done");
  EXPECT_EQ(streamed, text);
  EXPECT_EQ(text_of(last["response"]), text);
  const std::string id = last["response"]["id"];
  EXPECT_EQ(get("/v1/responses/" + id).json(), last["response"]);
}

TEST(ResponsesBody, BecomesAChat) {
  const OrderedJson earlier = {{{"role", "user"}, {"content", "before"}}};
  const OrderedJson chat = chat_of_response(
      body_of(
          {{"instructions", "be kind"},
           {"tools",
            {{{"type", "function"}, {"name", "add"}, {"parameters", {{"type", "object"}}}}}},
           {"tool_choice", {{"type", "function"}, {"name", "add"}}},
           {"text",
            {{"format",
              {{"type", "json_schema"}, {"name", "x"}, {"schema", {{"type", "object"}}}}}}},
           {"input",
            {{{"role", "user"},
              {"content",
               {{{"type", "input_text"}, {"text", "see"}},
                {{"type", "input_image"}, {"image_url", "data:,"}, {"detail", "low"}}}}},
             {{"type", "reasoning"}, {"summary", json::array()}},
             {{"type", "function_call"}, {"call_id", "c1"}, {"name", "add"}, {"arguments", "{}"}},
             {{"type", "function_call_output"}, {"call_id", "c1"}, {"output", "3"}}}}}),
      earlier);
  ASSERT_EQ(chat["messages"].size(), 5u);
  EXPECT_EQ(chat["messages"][0]["role"], "system");
  EXPECT_EQ(chat["messages"][1]["content"], "before");
  EXPECT_EQ(chat["messages"][2]["content"][1]["image_url"]["detail"], "low");
  EXPECT_EQ(chat["messages"][3]["tool_calls"][0]["id"], "c1");
  EXPECT_EQ(chat["messages"][4]["role"], "tool");
  EXPECT_EQ(chat["tools"][0]["function"]["name"], "add");
  EXPECT_EQ(chat["tool_choice"]["function"]["name"], "add");
  EXPECT_EQ(chat["response_format"]["json_schema"]["name"], "x");
  EXPECT_EQ(chat["max_completion_tokens"], 12);
}

TEST(ResponsesBody, NamesWhatIsWrong) {
  EXPECT_THAT(response_refusal({{"inputs", 1}}), HasSubstr("Unknown parameter: 'inputs'"));
  EXPECT_THAT(response_refusal({{"input", 5}}), HasSubstr("input is neither"));
  EXPECT_THAT(response_refusal({{"input", {{{"type", "computer_call"}}}}}),
              HasSubstr("'computer_call'"));
  EXPECT_THAT(response_refusal({{"tools", {{{"type", "web_search"}}}}}), HasSubstr("function"));
  EXPECT_THAT(response_refusal({{"background", true}}), HasSubstr("background"));
  EXPECT_THAT(response_refusal({{"max_output_tokens", 0}}), HasSubstr("max_output_tokens is 0"));
  EXPECT_EQ(response_refusal({{"background", false}, {"metadata", {{"a", "b"}}}, {"user", "u"}}),
            "");
}

TEST(ResponseStore, KeepsTheLatestAndEachToItsOwner) {
  ResponseStore store(2000);
  const auto put = [&](const std::string& id, size_t bytes) {
    store.put(id, {.client = "a", .response = std::string(bytes, 'x'), .messages = {}});
  };
  put("one", 700);
  put("two", 700);
  EXPECT_EQ(store.get("one", "b"), nullptr);
  EXPECT_FALSE(store.remove("one", "b"));
  EXPECT_NE(store.get("one", "a"), nullptr);
  put("three", 700);  // "two" goes: "one" was used since
  EXPECT_NE(store.get("one", "a"), nullptr);
  EXPECT_EQ(store.get("two", "a"), nullptr);
  EXPECT_LE(store.bytes(), 2000);
  put("large", 5000);
  EXPECT_EQ(store.get("large", "a"), nullptr);
  EXPECT_NE(store.get("three", "a"), nullptr);
  EXPECT_TRUE(store.remove("three", "a"));
  EXPECT_TRUE(store.remove("one", "a"));
  EXPECT_EQ(store.bytes(), 0);
}

}  // namespace
}  // namespace corral::serve
