// Answers of which the client says what they may be (OpenAI's predicted outputs).
#include <gmock/gmock.h>

#include "engine/speculation/lookup_draft.h"
#include "engine/speculation/prophet.h"
#include "serve/server_fixture.h"

namespace corral::serve {
namespace {

using nlohmann::json;
using test::Reply;
using ::testing::HasSubstr;

class Prediction : public test::ServerTest {
 protected:
  /// A request whose answer is text, not any bytes.
  static json letters() {
    return {{"model", "tiny"},
            {"messages", {{{"role", "user"}, {"content", "hello"}}}},
            {"max_tokens", 60},
            {"seed", 7},
            {"response_format", {{"type", "regex"}, {"pattern", "[a-z ]{60,90}"}}}};
  }
};

TEST_F(Prediction, SaysTheSameInFewerSteps) {
  start();
  const json plain = post("/v1/chat/completions", letters()).json();
  const std::string text = plain["choices"][0]["message"]["content"];
  EXPECT_FALSE(plain["usage"].contains("completion_tokens_details"));
  TearDown();

  speculator = [] {
    return std::make_unique<engine::Speculator>(std::make_unique<engine::LookupDraft>(), 16,
                                                engine::fixture::even_steps());
  };
  start();
  for (const json& content :
       {json(text), json::array({{{"type", "text"}, {"text", text.substr(0, 10)}},
                                 {{"type", "text"}, {"text", text.substr(10)}}})}) {
    json request = letters();
    request["prediction"] = {{"type", "content"}, {"content", content}};
    const json reply = post("/v1/chat/completions", request).json();
    EXPECT_EQ(reply["choices"][0]["message"]["content"], text);
    const json& usage = reply["usage"];
    EXPECT_EQ(usage["completion_tokens"], plain["usage"]["completion_tokens"]);
    EXPECT_GT(usage["completion_tokens_details"]["accepted_prediction_tokens"], 20);
    EXPECT_GE(usage["completion_tokens_details"]["rejected_prediction_tokens"], 0);

    request["stream"] = true;
    request["stream_options"] = {{"include_usage", true}};
    EXPECT_THAT(post("/v1/chat/completions", request).body,
                HasSubstr("accepted_prediction_tokens"));
  }
  EXPECT_THAT(get("/metrics").body, HasSubstr("\ncorral_draft_tokens_accepted_total{"));
}

}  // namespace
}  // namespace corral::serve
