#include "serve/server.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "serve/server_fixture.h"
#include "support/temp_dir.h"

namespace corral::serve {
namespace {

using nlohmann::json;
using test::Reply;
using test::ServerTest;
using ::testing::HasSubstr;
using ::testing::Not;

json chat(const json& more = json::object()) {
  json body = {{"model", "tiny"},
               {"messages", {{{"role", "user"}, {"content", "hello"}}}},
               {"max_tokens", 12},
               {"ignore_eos", true},
               {"seed", 7}};
  body.update(more);
  return body;
}

class Api : public ServerTest {
 protected:
  // What a session alone answers to the same request.
  engine::Answer alone(const std::vector<int32_t>& prompt, uint64_t seed,
                       int64_t max_tokens) const {
    engine::GenerateOptions options;
    options.sampling.temperature = 1;
    options.sampling.top_p = 1;
    options.sampling.seed = seed;
    options.max_tokens = max_tokens;
    options.ignore_stop_tokens = true;
    return engine::Session(model, tokenizer).generate(prompt, options);
  }
  std::vector<int32_t> hello() const {
    return text::ChatFormat(tokenizer).render({{text::text_message("user", "hello")}}, {}).ids;
  }
};

TEST_F(Api, TellsTheExpertsOfEachTokenWhenAsked) {
  start();
  EXPECT_EQ(get("/page/features").json()["expert_routing"], true);
  const json whole = post("/v1/chat/completions", chat({{"expert_routing", true}})).json();
  const json experts = whole["choices"][0]["expert_routing"];
  ASSERT_EQ(experts.size(), 12u);
  const auto layers =
      static_cast<size_t>(std::count_if(model.layers().begin(), model.layers().end(),
                                        [](const model::LayerSpec& spec) { return spec.moe; }));
  for (const json& token : experts) {
    ASSERT_EQ(token.size(), layers);
    for (const json& expert : token) {
      EXPECT_GE(expert.get<int64_t>(), 0);
      EXPECT_LT(expert.get<int64_t>(), config.num_local_experts);
    }
  }
  const auto events =
      post("/v1/chat/completions", chat({{"expert_routing", true}, {"stream", true}})).events();
  json streamed = json::array();
  for (const std::string& event : events) {
    if (event == "[DONE]") continue;
    const json parsed = json::parse(event);
    for (const json& token : parsed["choices"][0].value("expert_routing", json::array())) {
      streamed.push_back(token);
    }
  }
  EXPECT_EQ(streamed, experts);
  EXPECT_FALSE(
      post("/v1/chat/completions", chat()).json()["choices"][0].contains("expert_routing"));
}

TEST_F(Api, AnswersAChatAsASessionDoes) {
  start();
  const Reply reply = post("/v1/chat/completions", chat());
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json body = reply.json();
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_THAT(body["id"].get<std::string>(), HasSubstr("chatcmpl-"));
  ASSERT_EQ(body["choices"].size(), 1u);
  EXPECT_EQ(body["choices"][0]["message"]["role"], "assistant");
  EXPECT_EQ(body["choices"][0]["message"]["content"], alone(hello(), 7, 12).text);
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(body["usage"]["completion_tokens"], 12);
  EXPECT_EQ(body["usage"]["prompt_tokens"], hello().size());
  EXPECT_EQ(body["usage"]["total_tokens"], 12 + hello().size());
}

TEST_F(Api, StreamsTheSameText) {
  start();
  const Reply whole = post("/v1/chat/completions", chat({{"n", 2}}));
  const Reply reply =
      post("/v1/chat/completions",
           chat({{"n", 2}, {"stream", true}, {"stream_options", {{"include_usage", true}}}}));
  ASSERT_EQ(reply.status, 200);
  EXPECT_THAT(reply.head, HasSubstr("text/event-stream"));
  const auto events = reply.events();
  ASSERT_GE(events.size(), 6u);
  EXPECT_EQ(events.back(), "[DONE]");
  const json usage = json::parse(events[events.size() - 2]);
  EXPECT_EQ(usage["usage"]["completion_tokens"], 24);
  EXPECT_TRUE(usage["choices"].empty());
  std::map<int, std::string> text;
  std::map<int, std::string> reasons;
  for (size_t i = 0; i + 2 < events.size(); ++i) {
    const json event = json::parse(events[i]);
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    EXPECT_EQ(event["id"], json::parse(events[0])["id"]);
    const json& choice = event["choices"][0];
    const int index = choice["index"];
    if (text.count(index) == 0) {
      EXPECT_EQ(choice["delta"]["role"], "assistant");
    }
    text[index] += choice["delta"].value("content", "");
    if (!choice["finish_reason"].is_null()) reasons[index] = choice["finish_reason"];
  }
  for (int index = 0; index < 2; ++index) {
    EXPECT_EQ(text[index], whole.json()["choices"][index]["message"]["content"]);
    EXPECT_EQ(reasons[index], "length");
  }
}

TEST_F(Api, GivesLogProbabilitiesOfAChat) {
  start();
  const json body = post("/v1/chat/completions",
                         chat({{"logprobs", true}, {"top_logprobs", 3}, {"max_tokens", 4}}))
                        .json();
  const json& content = body["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 4u);
  for (const json& token : content) {
    ASSERT_EQ(token["top_logprobs"].size(), 3u);
    EXPECT_LE(token["logprob"].get<double>(), token["top_logprobs"][0]["logprob"].get<double>());
    EXPECT_FALSE(token["bytes"].empty());
  }
}

TEST_F(Api, StopsBeforeAStopText) {
  start();
  const auto prompt = tokenizer->encode("abc", {.bos = true});
  const std::string free = alone(prompt, 3, 30).text;
  // A random model writes random bytes: some character of its middle that is text.
  size_t at = free.size() / 2;
  while (at < free.size() && (free[at] & 0x80) != 0) ++at;
  ASSERT_LT(at, free.size());
  const std::string stop = free.substr(at, 1);
  const json body = post("/v1/completions", {{"prompt", "abc"},
                                             {"max_tokens", 30},
                                             {"seed", 3},
                                             {"ignore_eos", true},
                                             {"stop", stop}})
                        .json();
  EXPECT_EQ(body["choices"][0]["text"], free.substr(0, free.find(stop)));
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
}

TEST_F(Api, ScoresAPromptAsHarnessesWant) {
  start();
  const json body = post("/v1/completions", {{"prompt", {{1, 2, 3, 4}, {9, 8, 7}}},
                                             {"max_tokens", 0},
                                             {"echo", true},
                                             {"logprobs", 2}})
                        .json();
  ASSERT_EQ(body["choices"].size(), 2u);
  const json& logprobs = body["choices"][0]["logprobs"];
  ASSERT_EQ(logprobs["token_logprobs"].size(), 4u);
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  const std::vector<int32_t> tokens = {1, 2, 3, 4};
  for (size_t i = 1; i < 4; ++i) {
    engine::Session session(model, tokenizer);
    const Tensor logits = session.prefill(std::span(tokens).first(i));
    EXPECT_EQ(logprobs["token_logprobs"][i].get<double>(),
              engine::token_logprobs(logits.values<float>(), tokens[i], 0).token.logprob);
    EXPECT_GE(logprobs["top_logprobs"][i].size(), 2u);
  }
  EXPECT_EQ(logprobs["text_offset"], (json{0, 1, 2, 3}));
  EXPECT_EQ(body["choices"][0]["text"], "\x01\x02\x03\x04");
  EXPECT_EQ(body["choices"][1]["logprobs"]["tokens"].size(), 3u);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 7);
}

TEST_F(Api, EchoesATextWithoutTheTokenBeforeIt) {
  start();
  const json body = post("/v1/completions", {{"prompt", "abc"},
                                             {"max_tokens", 2},
                                             {"echo", true},
                                             {"logprobs", 0},
                                             {"seed", 1},
                                             {"ignore_eos", true}})
                        .json();
  const auto expected = alone(tokenizer->encode("abc", {.bos = true}), 1, 2);
  EXPECT_EQ(body["choices"][0]["text"], "abc" + expected.text);
  const json& logprobs = body["choices"][0]["logprobs"];
  ASSERT_EQ(logprobs["tokens"].size(), 5u);
  EXPECT_EQ(logprobs["tokens"][0], "a");
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_number());  // after begin of text
}

TEST_F(Api, StreamsCompletions) {
  start();
  const json request = {{"prompt", {"ab", "cd"}}, {"max_tokens", 8}, {"seed", 2},
                        {"ignore_eos", true},     {"echo", true},    {"logprobs", 1}};
  const json whole = post("/v1/completions", request).json();
  json streamed = request;
  streamed["stream"] = true;
  std::map<int, std::string> text;
  std::map<int, json> offsets;
  const auto events = post("/v1/completions", streamed).events();
  EXPECT_EQ(events.back(), "[DONE]");
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    const json choice = json::parse(events[i])["choices"][0];
    text[choice["index"]] += choice["text"].get<std::string>();
    for (const json& offset : choice["logprobs"]["text_offset"]) {
      offsets[choice["index"]].push_back(offset);
    }
  }
  for (int index = 0; index < 2; ++index) {
    EXPECT_EQ(text[index], whole["choices"][index]["text"]);
    EXPECT_EQ(offsets[index], whole["choices"][index]["logprobs"]["text_offset"]);
  }
}

TEST_F(Api, BiasForcesATokenAndToolsBecomeCalls) {
  start();
  // A model that can only write one token writes it; enough to see the parameter arrive.
  const json body =
      post("/v1/completions", {{"prompt", "x"}, {"max_tokens", 3}, {"logit_bias", {{"97", 100}}}})
          .json();
  EXPECT_EQ(body["choices"][0]["text"], "aaa");
}

TEST_F(Api, AnswersFollowTheFormThatWasAskedFor) {
  start();
  const auto answer = [&](const json& format, int seed) {
    const json request = {
        {"prompt", "x"}, {"max_tokens", 400}, {"seed", seed}, {"response_format", format}};
    return post("/v1/completions", request).json()["choices"][0];
  };
  const json schema = {{"type", "object"},
                       {"properties",
                        {{"n", {{"type", "integer"}, {"minimum", 3}, {"maximum", 12}}},
                         {"s", {{"type", "string"}, {"maxLength", 4}}}}},
                       {"required", {"n", "s"}},
                       {"additionalProperties", false}};
  for (int seed = 0; seed < 4; ++seed) {
    const json choice =
        answer({{"type", "json_schema"}, {"json_schema", {{"schema", schema}}}}, seed);
    EXPECT_EQ(choice["finish_reason"], "stop");
    const json value = json::parse(choice["text"].get<std::string>());
    EXPECT_GE(value.at("n"), 3);
    EXPECT_LE(value.at("n"), 12);
    EXPECT_EQ(value.size(), 2u);
  }
  EXPECT_EQ(answer({{"type", "regex"}, {"pattern", "ab{2}c"}}, 1)["text"], "abbc");
  EXPECT_EQ(answer({{"type", "grammar"}, {"grammar", "root ::= \"x\" \"yz\"{2}"}}, 1)["text"],
            "xyzyz");
  // What the length cuts off says so.
  const json cut =
      post("/v1/completions", {{"prompt", "x"},
                               {"max_tokens", 3},
                               {"response_format", {{"type", "regex"}, {"pattern", "abcdef"}}}})
          .json()["choices"][0];
  EXPECT_EQ(cut["text"], "abc");
  EXPECT_EQ(cut["finish_reason"], "length");
}

TEST_F(Api, CallsOfToolsAreMadeWhereTheyAreRequired) {
  start();
  const json tools = {{{"type", "function"},
                       {"function",
                        {{"name", "weather"},
                         {"strict", true},
                         {"parameters",
                          {{"type", "object"},
                           {"properties", {{"city", {{"enum", {"Oslo", "Rome"}}}}}},
                           {"required", {"city"}}}}}}},
                      {{"type", "function"}, {"function", {{"name", "time"}}}}};
  json request = {{"messages", {{{"role", "user"}, {"content", "hi"}}}},
                  {"tools", tools},
                  {"max_tokens", 600},
                  {"seed", 5},
                  {"tool_choice", {{"type", "function"}, {"function", {{"name", "weather"}}}}},
                  {"parallel_tool_calls", false}};
  const json choice = post("/v1/chat/completions", request).json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  ASSERT_EQ(choice["message"]["tool_calls"].size(), 1u);
  const json call = choice["message"]["tool_calls"][0]["function"];
  EXPECT_EQ(call["name"], "weather");
  EXPECT_THAT(json::parse(call["arguments"].get<std::string>())["city"],
              testing::AnyOf("Oslo", "Rome"));
  request["tool_choice"]["function"]["name"] = "nothing";
  EXPECT_THAT(post("/v1/chat/completions", request).body, HasSubstr("no tool is named 'nothing'"));
  request["tool_choice"] = "auto";
  request["tools"][0]["function"]["parameters"]["not"] = true;
  const Reply refused = post("/v1/chat/completions", request);
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body,
              HasSubstr("the tool weather: json schema: at the root: the keyword 'not'"));
}

TEST_F(Api, TokenizesAndBack) {
  start();
  json body = post("/tokenize", {{"prompt", "ab<|eot|>"}}).json();
  EXPECT_EQ(body["tokens"], (json{256, 97, 98, 261}));
  EXPECT_EQ(body["count"], 4);
  body = post("/tokenize",
              {{"content", "a<|eot|>"}, {"add_special_tokens", false}, {"parse_special", false}})
             .json();
  EXPECT_EQ(body["count"], 1 + 7);
  EXPECT_EQ(post("/detokenize", {{"tokens", {104, 105}}}).json()["prompt"], "hi");
  EXPECT_EQ(post("/detokenize", {{"tokens", {104, 264}}}).status, 400);
  EXPECT_EQ(post("/detokenize", {{"tokens", {-1}}}).status, 400);
}

TEST_F(Api, ListsItsModelAndItsHealth) {
  start();
  EXPECT_EQ(get("/health").json()["status"], "ok");
  const json models = get("/v1/models").json();
  EXPECT_EQ(models["data"][0]["id"], "tiny");
  post("/v1/chat/completions", chat());
  EXPECT_TRUE(wait_metric("corral_answer_tokens_total{model=\"tiny\"} 12"));
  EXPECT_TRUE(wait_metric("corral_answers_finished_total{model=\"tiny\",reason=\"length\"} 1"));
  EXPECT_THAT(get("/metrics").body, HasSubstr("corral_http_requests_total{status=\"200\"} "));
}

TEST_F(Api, ErrorsHaveTheFormOfTheApi) {
  start();
  const auto expect = [&](const Reply& reply, int status, const std::string& message) {
    EXPECT_EQ(reply.status, status) << reply.body;
    EXPECT_THAT(reply.json()["error"]["message"].get<std::string>(), HasSubstr(message));
    EXPECT_TRUE(reply.json()["error"].contains("type"));
  };
  expect(post("/v1/chat/completions", chat({{"model", "gpt"}})), 404, "'gpt' is not served");
  expect(post("/v1/chat/completions", chat({{"temperature", -1}})), 400, "temperature is -1");
  expect(get("/v1/chat/completions"), 405, "takes POST only");
  expect(get("/nothing"), 404, "there is no GET /nothing");
  expect(test::ask(server->port(), "POST", "/v1/completions", "{"), 400, "not JSON");
  expect(post("/v1/completions", {{"prompt", std::string(5000, 'x')}}), 400,
         "the prompt has 5001 tokens");
  expect(post("/v1/completions", {{"prompt", "x"}, {"max_tokens", 4096}}), 400, "together more");
  expect(post("/v1/completions", {{"prompt", {264}}}), 400, "token 264");
  EXPECT_EQ(post("/v1/chat/completions", chat({{"temperature", -1}})).json()["error"]["param"],
            "temperature");
  // Browsers may send this type to other sites without asking.
  test::RawClient client(server->port());
  client.send(
      "POST /v1/completions HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
      "Connection: close\r\n\r\n{}");
  client.read_all();
  EXPECT_EQ(test::parse_reply(client.text).status, 415);
}

TEST_F(Api, AsksForAKey) {
  start([](ServerOptions& options, engine::SchedulerOptions&) {
    options.api_keys = {"secret-one", "secret-two"};
  });
  const auto with = [&](const std::string& header) {
    return test::ask(server->port(), "GET", "/v1/models", "", header).status;
  };
  EXPECT_EQ(with(""), 401);
  EXPECT_EQ(with("Authorization: Bearer secret\r\n"), 401);
  EXPECT_EQ(with("Authorization: Bearer secret-one2\r\n"), 401);
  EXPECT_EQ(with("Authorization: Bearer \r\n"), 401);
  EXPECT_EQ(with("Authorization: Bearer secret-two\r\n"), 200);
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/metrics").status, 401);
}

TEST_F(Api, KeysHaveQuotas) {
  const corral::test::TempDir dir;
  const NewKey alice = make_key("alice", {.requests_per_minute = 2});
  const NewKey bob = make_key("bob", {.tokens_per_minute = 5});
  write_keys(dir.path() / "keys.json", {alice.stored, bob.stored});
  start([&](ServerOptions& options, engine::SchedulerOptions&) {
    options.api_key_file = dir.path() / "keys.json";
  });
  const auto ask_as = [&](const NewKey& key) {
    return test::ask(server->port(), "POST", "/v1/chat/completions", chat().dump(),
                     "Authorization: Bearer " + key.text + "\r\n");
  };
  EXPECT_EQ(ask_as(alice).status, 200);
  EXPECT_EQ(ask_as(alice).status, 200);
  const Reply third = ask_as(alice);
  EXPECT_EQ(third.status, 429);
  EXPECT_THAT(third.head, HasSubstr("Retry-After: "));
  EXPECT_EQ(third.json()["error"]["code"], "rate_limit_exceeded");
  EXPECT_EQ(ask_as(bob).status, 200);  // its tokens are counted when it has ended
  // They are counted when the answer has ended, which its reader can notice a moment earlier.
  int status = 200;
  for (int i = 0; i < 100 && status == 200; ++i) status = ask_as(bob).status;
  EXPECT_EQ(status, 429);
  EXPECT_EQ(ask_as(make_key("carol", {})).status, 401);
}

TEST_F(Api, StrangersSendNoBodies) {
  start([](ServerOptions& options, engine::SchedulerOptions&) { options.api_keys = {"secret"}; });
  test::RawClient client(server->port());
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nContent-Length: 1000000\r\n"
      "Expect: 100-continue\r\n\r\n");
  client.read_all();  // the answer comes before any byte of the body
  EXPECT_EQ(test::parse_reply(client.text).status, 401);
}

TEST_F(Api, PagesOfOthersAreKeptOutUnlessTheyAreNamed) {
  start([](ServerOptions& options, engine::SchedulerOptions&) {
    options.http.cors_origins = {"https://friend.example"};
  });
  const auto from = [&](const std::string& origin, const char* method = "POST") {
    return test::ask(server->port(), method, "/v1/chat/completions",
                     std::string_view(method) == "POST" ? chat().dump() : "",
                     "Origin: " + origin + "\r\n");
  };
  EXPECT_EQ(from("https://evil.example").status, 403);
  EXPECT_EQ(from("https://evil.example", "OPTIONS").status, 403);
  const Reply friendly = from("https://friend.example");
  EXPECT_EQ(friendly.status, 200);
  EXPECT_THAT(friendly.head, HasSubstr("Access-Control-Allow-Origin: https://friend.example\r\n"));
  const Reply before = from("https://friend.example", "OPTIONS");
  EXPECT_EQ(before.status, 204);
  EXPECT_THAT(before.head, HasSubstr("Access-Control-Allow-Headers: Authorization"));
  // The own page; and without an origin nothing is said about sharing.
  EXPECT_EQ(from("http://localhost").status, 200);
  EXPECT_THAT(post("/v1/chat/completions", chat()).head, Not(HasSubstr("Access-Control")));
  test::RawClient rebound(server->port());
  rebound.send("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
  rebound.read_all();
  EXPECT_EQ(test::parse_reply(rebound.text).status, 403);
}

TEST_F(Api, AClientThatLeavesCancelsItsRequest) {
  start();
  test::RawClient client(server->port());
  client.send(test::request_text("POST", "/v1/chat/completions",
                                 chat({{"stream", true}, {"max_tokens", 4000}}).dump()));
  ASSERT_TRUE(client.read_until("data: "));
  client.close();
  EXPECT_TRUE(wait_metric("corral_answers_finished_total{model=\"tiny\",reason=\"cancelled\"} 1"));
  // The same for one who waits for a whole answer.
  test::RawClient other(server->port());
  other.send(
      test::request_text("POST", "/v1/chat/completions", chat({{"max_tokens", 4000}}).dump()));
  ASSERT_TRUE(wait_metric("corral_answers_running{model=\"tiny\"} 1"));
  other.close();
  EXPECT_TRUE(wait_metric("corral_answers_finished_total{model=\"tiny\",reason=\"cancelled\"} 2"));
}

TEST_F(Api, SaysWhenItIsTooBusyOrTooLate) {
  start([](ServerOptions&, engine::SchedulerOptions& scheduling) {
    scheduling.max_running = 1;
    scheduling.max_waiting = 1;
  });
  const std::string longest =
      test::request_text("POST", "/v1/chat/completions", chat({{"max_tokens", 4000}}).dump());
  test::RawClient first(server->port());
  first.send(longest);
  ASSERT_TRUE(wait_metric("corral_answers_running{model=\"tiny\"} 1"));
  test::RawClient second(server->port());
  second.send(longest);
  ASSERT_TRUE(wait_metric("corral_requests_waiting{model=\"tiny\"} 1"));
  const Reply third = post("/v1/chat/completions", chat());
  EXPECT_EQ(third.status, 429);
  EXPECT_THAT(third.head, HasSubstr("Retry-After: 1"));
  second.close();
  ASSERT_TRUE(wait_metric("corral_requests_waiting{model=\"tiny\"} 0"));
  const Reply late = post("/v1/chat/completions", chat({{"timeout", 0.001}}));
  EXPECT_EQ(late.status, 504);
}

TEST_F(Api, DrainsBeforeItEnds) {
  start();
  test::RawClient client(server->port());
  client.send(test::request_text("POST", "/v1/chat/completions",
                                 chat({{"stream", true}, {"max_tokens", 60}}).dump()));
  ASSERT_TRUE(client.read_until("data: "));
  EXPECT_TRUE(server->drain(std::chrono::minutes(1)));
  client.read_all();
  EXPECT_THAT(client.text, HasSubstr("[DONE]"));
  EXPECT_THROW(test::RawClient{server->port()}, std::runtime_error);
}

TEST_F(Api, LogsNoPrompts) {
  start();
  post("/v1/chat/completions",
       chat({{"messages", {{{"role", "user"}, {"content", "my secret"}}}}}));
  ASSERT_TRUE(server->drain(std::chrono::minutes(1)));
  server.reset();
  shelf.reset();
  EXPECT_THAT(log, HasSubstr("\"path\":\"/v1/chat/completions\",\"status\":200"));
  EXPECT_THAT(log, HasSubstr("\"answer_tokens\":12"));
  EXPECT_THAT(log, Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace corral::serve
