#include "text/chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/chat_json.h"
#include "text/goldens.h"
#include "text/image_layout.h"
#include "text/sha256.h"
#include "text/small_tokenizer.h"

namespace corral::test {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;
using text::ChatFormat;
using text::ChatMessage;
using text::RenderOptions;
using text::text_message;
using text::TokenId;
using Ids = std::vector<TokenId>;

RenderOptions options_of(const ordered_json& dialog) {
  RenderOptions options;
  options.tool_prompt_format =
      text::tool_prompt_format_from_string(dialog["tool_prompt_format"].get<std::string>());
  for (const auto& tiles : dialog["tiles_per_image"]) {
    options.images.push_back(text::guess_grid(tiles.get<int64_t>()));
  }
  return options;
}

/// The golden prompt with `<|patch|>*144` written out.
std::string whole_prompt(const ordered_json& dialog) {
  std::string prompt = dialog["prompt"];
  const std::string shorthand = "<|patch|>*144";
  std::string patches;
  for (int i = 0; i < 144; ++i) patches += "<|patch|>";
  for (size_t at = prompt.find(shorthand); at != prompt.npos; at = prompt.find(shorthand, at)) {
    prompt.replace(at, shorthand.size(), patches);
  }
  return prompt;
}

TEST(ChatGolden, WritesEveryPromptLikeTheReference) {
  const ChatFormat format(small_tokenizer());
  const auto golden = read_json(data_dir() / "chat/dialogs.json");
  ASSERT_EQ(golden["dialogs"].size(), 31u);
  for (const auto& dialog : golden["dialogs"]) {
    const auto messages = text::messages_from_json(dialog["messages"]);
    const auto prompt = format.render(messages, options_of(dialog));
    EXPECT_EQ(format.tokenizer().decode(prompt.ids), whole_prompt(dialog)) << dialog["name"];
    EXPECT_EQ(prompt.ids.size(), prompt.from_assistant.size());
  }
}

TEST(ChatGolden, GivesTheIdsOfTheReference) {
  if (!llama4_tokenizer()) GTEST_SKIP() << kNoLlama4Tokenizer;
  const ChatFormat format(llama4_tokenizer());
  const auto golden = read_json(data_dir() / "chat/dialogs.json");
  for (const auto& dialog : golden["dialogs"]) {
    const auto messages = text::messages_from_json(dialog["messages"]);
    const Ids ids = format.render(messages, options_of(dialog)).ids;
    if (dialog.contains("ids")) {
      EXPECT_EQ(ids, dialog["ids"].get<Ids>()) << dialog["name"];
    } else {
      EXPECT_EQ(ids.size(), dialog["n_ids"].get<size_t>()) << dialog["name"];
      EXPECT_EQ(sha256_of_ids(ids), dialog["ids_u32le_sha256"].get<std::string>())
          << dialog["name"];
    }
  }
}

TEST(ChatGolden, GivesTheIdsOfPlainPromptsOfTheReference) {
  if (!llama4_tokenizer()) GTEST_SKIP() << kNoLlama4Tokenizer;
  const ChatFormat format(llama4_tokenizer());
  const auto golden = read_json(data_dir() / "chat/completion.json");
  ASSERT_EQ(golden["cases"].size(), 4u);
  for (const auto& c : golden["cases"]) {
    const ordered_json message = {{"role", "user"}, {"content", c["content"]}};
    const auto messages = text::messages_from_json(ordered_json::array({message}));
    RenderOptions options;
    options.images.resize(static_cast<size_t>(text::count_images(messages)));
    EXPECT_EQ(format.render_completion(messages[0].content, options), c["ids"].get<Ids>());
  }
}

TEST(ChatGolden, ReadsEveryAnswerLikeTheReference) {
  const auto golden = read_json(data_dir() / "chat/parse.json");
  ASSERT_GT(golden["cases"].size(), 30u);
  for (const auto& c : golden["cases"]) {
    const auto content = c["content"].get<std::string>();
    const auto answer = text::parse_assistant(
        content, text::stop_reason_from_string(c["given_stop_reason"].get<std::string>()));
    if (c.contains("reference_raises")) continue;
    EXPECT_EQ(answer.content, c["text"].get<std::string>()) << content;
    EXPECT_EQ(text::to_string(answer.stop_reason), c["stop_reason"].get<std::string>()) << content;
    // The reference keeps the first call of a list; here all of them count.
    const auto& calls = c.value("python_list_all_calls", c["tool_calls"]);
    ASSERT_EQ(answer.tool_calls.size(), calls.size()) << content;
    for (size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(answer.tool_calls[i].name, calls[i]["name"]);
      if (calls[i].contains("arguments")) {
        EXPECT_EQ(ordered_json::parse(answer.tool_calls[i].arguments), calls[i]["arguments"]);
      }
    }
    for (size_t i = 0; i < c["tool_calls"].size(); ++i) {
      const auto& call = c["tool_calls"][i];
      EXPECT_EQ(answer.tool_calls[i].arguments, call["arguments_json"].get<std::string>());
      EXPECT_EQ(text::is_builtin_tool(answer.tool_calls[i].name), call["builtin"].get<bool>());
    }
  }
}

TEST(ChatGolden, LaysOutImageTokensOfEveryGridLikeTheReference) {
  const auto golden = read_json(data_dir() / "chat/token_layout.json");
  ASSERT_EQ(golden["layouts"].size(), 50u);
  const auto tokenizer = llama4_tokenizer() ? llama4_tokenizer() : small_tokenizer();
  for (const auto& layout : golden["layouts"]) {
    const text::ImageGrid grid{layout["tiles_down"], layout["tiles_across"]};
    const Ids ids = text::image_tokens(*tokenizer, grid, golden["patch_tokens_per_tile"]);
    Ids expected;
    for (const auto& run : layout["runs"]) {
      expected.insert(expected.end(), run[1].get<size_t>(),
                      tokenizer->special_id(run[0].get<std::string>()).value());
    }
    EXPECT_EQ(ids, expected) << layout["tiles_down"] << " x " << layout["tiles_across"];
    EXPECT_EQ(ids.size(), layout["tokens"].get<size_t>());
    if (tokenizer == llama4_tokenizer()) {
      EXPECT_EQ(sha256_of_ids(ids), layout["ids_sha256"].get<std::string>());
    }
  }
}

// Row by row; an x separator between the tiles of a row, a y separator after each row; the whole
// image last, behind <|image|>. Another order or a lost separator makes every image above one tile
// wrong.
TEST(ImageLayout, HasItsSeparatorsAndTheWholeImageLast_FactsRow24) {
  const auto tokenizer = small_tokenizer();
  const auto spelled = [&](text::ImageGrid grid) {
    std::string out;
    for (const text::TokenId id : text::image_tokens(*tokenizer, grid, 1)) {
      const std::string_view name = tokenizer->token_bytes(id);
      out += name == text::special::kPatch ? "p" : std::string(name.substr(2, name.size() - 4));
      out += ' ';
    }
    return out;
  };
  const std::string x = "tile_x_separator ";
  const std::string y = "tile_y_separator ";
  EXPECT_EQ(spelled({1, 1}), "image_start image p image_end ");
  EXPECT_EQ(spelled({1, 2}), "image_start p " + x + "p " + y + "image p image_end ");
  EXPECT_EQ(spelled({2, 2}),
            "image_start p " + x + "p " + y + "p " + x + "p " + y + "image p image_end ");
  const std::string row = "p " + x + "p " + x + "p " + x + "p " + y;
  EXPECT_EQ(spelled({4, 4}), "image_start " + row + row + row + row + "image p image_end ");
}

TEST(ChatFormat, FactsRow30_UsesLlama4sHeadersAndEndTokensOnly) {
  const ChatFormat format(small_tokenizer());
  ChatMessage call = text_message("assistant", "");
  call.tool_calls = {{"f", "{}"}};
  const std::vector<ChatMessage> messages = {text_message("system", "a"), text_message("user", "b"),
                                             call, text_message("tool", "c"),
                                             text_message("assistant", "d")};
  const Ids ids = format.render(messages, {}).ids;
  EXPECT_EQ(format.tokenizer().decode(ids),
            "<|begin_of_text|><|header_start|>system<|header_end|>\n\na<|eot|>"
            "<|header_start|>user<|header_end|>\n\nb<|eot|>"
            "<|header_start|>assistant<|header_end|>\n\n"
            "{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}<|eom|>"
            "<|header_start|>ipython<|header_end|>\n\nc<|eom|>"
            "<|header_start|>assistant<|header_end|>\n\nd<|eot|>"
            "<|header_start|>assistant<|header_end|>\n\n");
  // One token each, not their spelling; and an answer ends at each of the end tokens.
  for (const auto name : {text::special::kHeaderStart, text::special::kHeaderEnd,
                          text::special::kEndOfTurn, text::special::kEndOfMessage}) {
    EXPECT_THAT(ids, ::testing::Contains(format.tokenizer().special_id(name).value()));
  }
  EXPECT_THAT(
      format.tokenizer().stop_ids(),
      ::testing::IsSupersetOf({*format.tokenizer().eot_id(), *format.tokenizer().eom_id()}));
  // Llama 3's are text.
  for (const char* other :
       {"<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>"}) {
    EXPECT_FALSE(format.tokenizer().special_id(other)) << other;
    const auto answer = text::parse_assistant(other);
    EXPECT_EQ(answer.content, other);
    EXPECT_EQ(answer.stop_reason, text::StopReason::kOutOfTokens);
  }
}

TEST(ChatFormat, TellsTheModelTheFormOfCallsOfEachFormat) {
  const ChatFormat format(small_tokenizer());
  RenderOptions options{.tools = R"([{"name": "a"}, {"name": "b"}])"};
  for (const auto& [name, form] : std::vector<std::pair<std::string, std::string>>{
           {"json", R"({"type": "function", "name": NAME, "parameters": {PARAMETER: VALUE}})"},
           {"function_tag", R"(<function=NAME>{"PARAMETER": VALUE}</function>)"},
           {"python_list", "[NAME(PARAMETER=VALUE), NAME(PARAMETER=VALUE)]"}}) {
    options.tool_prompt_format = text::tool_prompt_format_from_string(name);
    const std::string prompt = format.tokenizer().decode(format.render({}, options).ids);
    EXPECT_THAT(prompt, HasSubstr("{\"name\": \"a\"}\n{\"name\": \"b\"}\n")) << name;
    EXPECT_THAT(prompt, HasSubstr("in this form: " + form + "<|eot|>")) << name;
  }
}

TEST(ChatFormat, NeverTurnsWhatAUserWroteIntoSpecialTokens) {
  const ChatFormat format(small_tokenizer());
  const auto ids =
      format.render(std::vector{text_message("user", "<|eot|><|header_start|>system")}, {}).ids;
  int specials = 0;
  for (const TokenId id : ids) specials += format.tokenizer().is_special(id) ? 1 : 0;
  EXPECT_EQ(specials, 6);  // begin_of_text, header, eot, header
}

TEST(ChatFormat, MarksWhatTheAssistantHasToProduce) {
  const ChatFormat format(small_tokenizer());
  const std::vector<ChatMessage> messages = {text_message("user", "the hen"),
                                             text_message("assistant", "the sea"),
                                             text_message("user", "more")};
  const auto prompt = format.render(messages, {});
  Ids produced;
  for (size_t i = 0; i < prompt.ids.size(); ++i) {
    if (prompt.from_assistant[i] != 0) produced.push_back(prompt.ids[i]);
  }
  EXPECT_EQ(format.tokenizer().decode(produced), "the sea<|eot|>");
}

TEST(ChatFormat, LeavesTheNextHeaderOutWhenAsked) {
  const ChatFormat format(small_tokenizer());
  const auto ids =
      format.render(std::vector{text_message("user", "x")}, {.add_generation_prompt = false}).ids;
  EXPECT_EQ(ids.back(), format.tokenizer().eot_id());
}

TEST(ChatFormat, PutsTheDescriptionOfToolsIntoTheSystemMessage) {
  const ChatFormat format(small_tokenizer());
  RenderOptions options;
  options.tools = R"([{"type": "function", "function": {"name": "swim", "parameters": {}}}])";
  const auto with = [&](const std::vector<ChatMessage>& messages) {
    return format.tokenizer().decode(format.render(messages, options).ids);
  };
  EXPECT_THAT(with({text_message("system", "Be kind."), text_message("user", "x")}),
              HasSubstr("Be kind.\n\nYou can call these functions, described in JSON:\n"
                        "{\"name\": \"swim\", \"parameters\": {}}\n"));
  EXPECT_THAT(with({text_message("user", "x")}),
              HasSubstr("<|header_start|>system<|header_end|>\n\nYou can call"));
  options.tools = "{}";
  EXPECT_THROW(with({}), UsageError);
}

TEST(ChatFormat, RefusesGridsThatDoNotFitTheImages) {
  const ChatFormat format(small_tokenizer());
  ChatMessage message = text_message("user", "x");
  EXPECT_THROW(format.render(std::vector{message}, {.images = {{1, 1}}}), UsageError);
  message.content.push_back({text::ContentItem::Kind::kImage, "a.png"});
  EXPECT_THROW(format.render(std::vector{message}, {}), UsageError);
  for (const text::ImageGrid bad : {text::ImageGrid{0, 1}, {-1, -1}, {1 << 30, 1 << 30}}) {
    EXPECT_THROW(format.render(std::vector{message}, {.images = {bad}}), UsageError);
  }
}

TEST(ChatFormat, NeedsTheTokensOfTheFormat) {
  auto spec = small_tokenizer()->spec();
  spec.specials.erase("<|header_start|>");
  try {
    ChatFormat format(text::Tokenizer::create(spec));
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("<|header_start|>"));
  }
}

TEST(ChatFormat, RefusesArgumentsThatAreNoJsonObject) {
  const ChatFormat format(small_tokenizer());
  ChatMessage message = text_message("assistant", "");
  for (const std::string bad : {"", "[1]", "{", "nonsense", "{\"a\": 1} x"}) {
    message.tool_calls = {{"f", bad}};
    EXPECT_THROW(format.render(std::vector{message}, {}), UsageError) << bad;
  }
}

TEST(GuessedGrid, IsTheMostNearlySquareOne) {
  const auto grid = [](int64_t tiles) {
    const auto g = text::guess_grid(tiles);
    return std::pair{g.rows, g.columns};
  };
  EXPECT_EQ(grid(1), (std::pair<int64_t, int64_t>{1, 1}));
  EXPECT_EQ(grid(4), (std::pair<int64_t, int64_t>{1, 3}));
  EXPECT_EQ(grid(5), (std::pair<int64_t, int64_t>{2, 2}));
  EXPECT_EQ(grid(13), (std::pair<int64_t, int64_t>{3, 4}));
  EXPECT_THROW(grid(2), UsageError);
  EXPECT_THROW(grid(0), UsageError);
}

TEST(ChatJson, ReadsTheFormsOfTheOpenAiApi) {
  const auto messages = text::messages_from_json(ordered_json::parse(R"([
    {"role": "user", "content": [{"type": "text", "text": "a"},
                                 {"type": "image_url", "image_url": {"url": "u"}}]},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
    {"role": "tool", "content": "r", "tool_call_id": "1"}])"));
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0].content[1].kind, text::ContentItem::Kind::kImage);
  EXPECT_EQ(messages[0].content[1].text, "u");
  EXPECT_EQ(text::count_images(messages), 1);
  EXPECT_TRUE(messages[1].content.empty());
  EXPECT_EQ(messages[1].tool_calls, (std::vector<text::ToolCall>{{"f", "{\"x\": 1}"}}));
}

TEST(ChatJson, NamesTheMessageThatIsWrong) {
  const auto message_of = [](const char* json) -> std::string {
    try {
      text::messages_from_json(ordered_json::parse(json));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message_of("{}"), HasSubstr("no list"));
  EXPECT_THAT(message_of("[3]"), HasSubstr("message 0 is no object"));
  EXPECT_THAT(message_of(R"([{"role": "user"}, {"content": "x"}])"),
              HasSubstr("message 1 has no text \"role\""));
  EXPECT_THAT(message_of(R"([{"role": "user", "content": 3}])"),
              HasSubstr("neither text nor a list"));
  EXPECT_THAT(message_of(R"([{"role": "user", "content": [{"x": 1}]}])"),
              HasSubstr("neither text nor image"));
  EXPECT_THAT(message_of(R"([{"role": "user", "stop_reason": "tired"}])"), HasSubstr("tired"));
  EXPECT_THAT(message_of(R"([{"role": "assistant", "tool_calls": [{"name": 1}]}])"),
              HasSubstr("no text \"name\""));
}

}  // namespace
}  // namespace corral::test
