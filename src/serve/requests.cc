#include "serve/requests.h"

#include <algorithm>
#include <charconv>

#include "serve/api_error.h"
#include "text/chat_json.h"

namespace corral::serve {
namespace {

// What a request may hold.
constexpr std::string_view kCompletionMembers[] = {"model",
                                                   "prompt",
                                                   "best_of",
                                                   "echo",
                                                   "frequency_penalty",
                                                   "id_slot",
                                                   "ignore_eos",
                                                   "logit_bias",
                                                   "logprobs",
                                                   "max_tokens",
                                                   "min_p",
                                                   "n",
                                                   "presence_penalty",
                                                   "priority",
                                                   "repetition_penalty",
                                                   "response_format",
                                                   "seed",
                                                   "stop",
                                                   "stream",
                                                   "stream_options",
                                                   "suffix",
                                                   "temperature",
                                                   "timeout",
                                                   "top_k",
                                                   "top_p",
                                                   "user"};
// Of these metadata and what follows it are known to OpenAI's API and change nothing here.
constexpr std::string_view kChatMembers[] = {"model",
                                             "messages",
                                             "expert_routing",
                                             "frequency_penalty",
                                             "id_slot",
                                             "ignore_eos",
                                             "logit_bias",
                                             "logprobs",
                                             "max_completion_tokens",
                                             "max_tokens",
                                             "min_p",
                                             "n",
                                             "parallel_tool_calls",
                                             "presence_penalty",
                                             "priority",
                                             "repetition_penalty",
                                             "response_format",
                                             "seed",
                                             "stop",
                                             "stream",
                                             "stream_options",
                                             "temperature",
                                             "timeout",
                                             "tool_choice",
                                             "tools",
                                             "top_k",
                                             "top_logprobs",
                                             "top_p",
                                             "metadata",
                                             "modalities",
                                             "prediction",
                                             "prompt_cache_key",
                                             "prompt_cache_retention",
                                             "reasoning_effort",
                                             "safety_identifier",
                                             "service_tier",
                                             "store",
                                             "user",
                                             "verbosity"};
constexpr std::string_view kEmbeddingMembers[] = {
    "model", "input", "encoding_format", "dimensions", "user", "pooling", "priority", "timeout"};

constexpr size_t kMostStops = 16;
constexpr size_t kMostStopBytes = 1024;
constexpr size_t kMostBiases = 1000;
constexpr size_t kMostMessages = 10'000;
constexpr size_t kMostTools = 256;

void read_stop(const Fields& fields, engine::GenerateOptions& generate) {
  const OrderedJson* stop = fields.find("stop");
  if (stop == nullptr) return;
  const auto add = [&](const OrderedJson& text) {
    if (!text.is_string()) fields.fail("stop", "is neither a text nor a list of texts");
    generate.stop.push_back(text.get<std::string>());
    if (generate.stop.back().empty() || generate.stop.back().size() > kMostStopBytes) {
      fields.fail("stop", str("has a text of ", generate.stop.back().size(), " bytes, needs 1 to ",
                              kMostStopBytes));
    }
  };
  if (!stop->is_array()) return add(*stop);
  if (stop->size() > kMostStops) {
    fields.fail("stop", str("has ", stop->size(), " texts, at most ", kMostStops, " are allowed"));
  }
  for (const OrderedJson& text : *stop) add(text);
}

void read_bias(const Fields& fields, engine::SamplingOptions& sampling) {
  const OrderedJson* bias = fields.find("logit_bias");
  if (bias == nullptr) return;
  if (!bias->is_object()) fields.fail("logit_bias", "is no object of tokens and numbers");
  if (bias->size() > kMostBiases) {
    fields.fail("logit_bias", str("has ", bias->size(), " tokens, at most ", kMostBiases));
  }
  for (const auto& [key, value] : bias->items()) {
    int32_t token = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() || token < 0) {
      fields.fail("logit_bias", str("has the key '", key.substr(0, 20), "', which is no token id"));
    }
    const NumberField range{key.c_str(), -100, 100, false};
    sampling.logit_bias.emplace_back(token, *Fields(*bias, "logit_bias.").number(range));
  }
}

void read_sampling(const Fields& fields, AnswerRequest& answer) {
  engine::SamplingOptions& s = answer.generate.sampling;
  s.temperature = fields.number(number::kTemperature).value_or(1.0);
  s.top_p = fields.number(number::kTopP).value_or(1.0);
  s.min_p = fields.number(number::kMinP).value_or(0.0);
  s.top_k = fields.integer(number::kTopK).value_or(0);
  s.repetition_penalty = fields.number(number::kRepetitionPenalty).value_or(1.0);
  s.presence_penalty = fields.number(number::kPresencePenalty).value_or(0.0);
  s.frequency_penalty = fields.number(number::kFrequencyPenalty).value_or(0.0);
  if (const auto seed = fields.integer(number::kSeed)) {
    s.seed = static_cast<uint64_t>(*seed);
    answer.seeded = true;
  }
  read_bias(fields, s);
}

AnswerRequest read_answer(const Fields& fields) {
  AnswerRequest answer;
  answer.model = fields.text("model").value_or("");
  read_sampling(fields, answer);
  read_stop(fields, answer.generate);
  answer.generate.ignore_stop_tokens = fields.boolean("ignore_eos").value_or(false);
  answer.max_tokens = fields.integer(number::kMaxTokens);
  answer.n = fields.integer(number::kN).value_or(1);
  answer.stream = fields.boolean("stream").value_or(false);
  if (const OrderedJson* options = fields.find("stream_options")) {
    if (!options->is_object()) fields.fail("stream_options", "is no object");
    if (!answer.stream) fields.fail("stream_options", "is only for streams");
    answer.stream_usage =
        Fields(*options, "stream_options.").boolean("include_usage").value_or(false);
  }
  answer.priority = static_cast<int32_t>(fields.integer(number::kPriority).value_or(0));
  answer.timeout_seconds = fields.number(number::kTimeout);
  answer.slot = std::max<int64_t>(0, fields.integer(number::kIdSlot).value_or(0));
  return answer;
}

std::vector<int32_t> read_ids(const Fields& fields, const OrderedJson& list, const char* name) {
  std::vector<int32_t> ids;
  for (const OrderedJson& id : list) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX) {
      fields.fail(name, "has a token that is no whole number from 0 on");
    }
    ids.push_back(id.get<int32_t>());
  }
  if (ids.empty()) fields.fail(name, "is empty: the model needs at least one token");
  return ids;
}

std::vector<InputText> read_texts(const Fields& fields, const char* name, size_t most) {
  const OrderedJson* input = fields.find(name);
  if (input == nullptr) fields.fail(name, "is missing");
  if (input->is_string()) return {input->get<std::string>()};
  if (!input->is_array() || input->empty()) {
    fields.fail(name, "is neither a text, nor a list of texts, of tokens, or of lists of tokens");
  }
  if (input->front().is_number()) return {read_ids(fields, *input, name)};
  if (input->size() > most) {
    fields.fail(name, str("has ", input->size(), " parts, at most ", most, " are allowed"));
  }
  std::vector<InputText> texts;
  for (const OrderedJson& one : *input) {
    if (one.is_string()) {
      texts.emplace_back(one.get<std::string>());
    } else if (one.is_array()) {
      texts.emplace_back(read_ids(fields, one, name));
    } else {
      fields.fail(name, "has a part that is neither a text nor a list of tokens");
    }
  }
  return texts;
}

// The descriptions, or nothing when the client wants no calls.
std::string read_tools(const Fields& fields) {
  const OrderedJson* tools = fields.find("tools");
  if (tools != nullptr && !tools->is_array()) fields.fail("tools", "is no list");
  if (tools != nullptr && tools->size() > kMostTools) {
    fields.fail("tools", str("has ", tools->size(), " tools, at most ", kMostTools));
  }
  if (tools != nullptr) {
    for (const OrderedJson& tool : *tools) {
      const bool named = tool.is_object() && tool.value("type", OrderedJson()) == "function" &&
                         tool.contains("function") && tool["function"].is_object() &&
                         tool["function"].value("name", OrderedJson()).is_string();
      if (!named)
        fields.fail("tools", "has a part that is no {\"type\": \"function\", \"function\"}");
    }
  }
  if (const OrderedJson* choice = fields.find("tool_choice")) {
    if (*choice == "none") return "";
  }
  return tools == nullptr || tools->empty() ? "" : tools->dump();
}

// OpenAI's "predicted outputs": {"type": "content", "content": a text or a list of text parts}.
std::optional<std::string> read_prediction(const Fields& fields) {
  const OrderedJson* prediction = fields.find("prediction");
  if (prediction == nullptr) return std::nullopt;
  const bool known = prediction->is_object() &&
                     prediction->value("type", OrderedJson()) == "content" &&
                     prediction->contains("content");
  if (!known) fields.fail("prediction", "is no {\"type\": \"content\", \"content\"}");
  const OrderedJson& content = (*prediction)["content"];
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) fields.fail("prediction", "has a content that is no text");
  std::string text;
  for (const OrderedJson& part : content) {
    const bool is_text = part.is_object() && part.value("type", OrderedJson()) == "text" &&
                         part.value("text", OrderedJson()).is_string();
    if (!is_text) fields.fail("prediction", "has a part that is no {\"type\": \"text\", \"text\"}");
    text += part["text"].get<std::string>();
  }
  return text;
}

std::vector<text::ChatMessage> read_messages(const Fields& fields) {
  const OrderedJson* messages = fields.find("messages");
  if (messages == nullptr) fields.fail("messages", "is missing");
  if (!messages->is_array() || messages->empty()) fields.fail("messages", "is no list of messages");
  if (messages->size() > kMostMessages) {
    fields.fail("messages", str("has ", messages->size(), " messages, at most ", kMostMessages));
  }
  std::vector<text::ChatMessage> result;
  try {
    result = text::messages_from_json(*messages);
  } catch (const UsageError& error) {
    throw ApiError(400, error.what(), "messages");
  }
  static const std::vector<std::string> known = {"system", "developer", "user", "assistant",
                                                 "tool"};
  for (text::ChatMessage& message : result) {
    if (std::find(known.begin(), known.end(), message.role) == known.end()) {
      fields.fail("messages", str("has the role '", message.role.substr(0, 20),
                                  "', needs system, developer, user, assistant or tool"));
    }
    if (message.role == "developer") message.role = "system";
  }
  return result;
}

}  // namespace

CompletionRequest parse_completion(std::string_view body) {
  const OrderedJson json = parse_body(body);
  const Fields fields(json);
  fields.only(kCompletionMembers);
  CompletionRequest request;
  request.answer = read_answer(fields);
  request.answer.form = read_answer_form(fields, false);
  request.answer.generate.logprobs = fields.integer(number::kLogprobs);
  if (!request.answer.max_tokens) request.answer.max_tokens = 16;  // as OpenAI's API has it
  request.echo = fields.boolean("echo").value_or(false);
  if (fields.find("suffix") != nullptr) fields.fail("suffix", "is not supported by this server");
  if (fields.integer(number::kBestOf).value_or(request.answer.n) != request.answer.n) {
    fields.fail("best_of", "can only be n on this server");
  }
  request.prompts = read_texts(fields, "prompt", kMostPrompts);
  return request;
}

ChatRequest parse_chat(std::string_view body) { return read_chat(parse_body(body)); }

ChatRequest read_chat(OrderedJson json) {
  ChatRequest request;
  if (json.contains("messages")) request.media = take_media(json["messages"]);
  const Fields fields(json);
  fields.only(kChatMembers);
  request.answer = read_answer(fields);
  if (const auto most = fields.integer(number::kMaxCompletionTokens)) {
    request.answer.max_tokens = most;
  }
  const auto top = fields.integer(number::kTopLogprobs);
  if (fields.boolean("logprobs").value_or(false)) {
    request.answer.generate.logprobs = top.value_or(0);
  } else if (top) {
    fields.fail("top_logprobs", "needs logprobs to be true");
  }
  request.expert_routing = fields.boolean("expert_routing").value_or(false);
  request.messages = read_messages(fields);
  request.tools = read_tools(fields);
  request.prediction = read_prediction(fields);
  request.answer.form = read_answer_form(fields, true);
  return request;
}

EmbeddingRequest parse_embedding(std::string_view body) {
  const OrderedJson json = parse_body(body);
  const Fields fields(json);
  fields.only(kEmbeddingMembers);
  EmbeddingRequest request;
  request.answer.model = fields.text("model").value_or("");
  request.answer.max_tokens = 0;
  request.answer.priority = static_cast<int32_t>(fields.integer(number::kPriority).value_or(0));
  request.answer.timeout_seconds = fields.number(number::kTimeout);
  request.dimensions = fields.integer(number::kDimensions);
  const std::string format = fields.text("encoding_format").value_or("float");
  request.base64 = format == "base64";
  if (!request.base64 && format != "float") {
    fields.fail("encoding_format", "is neither float nor base64");
  }
  const std::string pooling = fields.text("pooling").value_or("mean");
  if (pooling == "last") {
    request.pooling = engine::Pooling::kLast;
  } else if (pooling != "mean") {
    fields.fail("pooling", "is neither mean nor last");
  }
  request.inputs = read_texts(fields, "input", kMostInputs);
  return request;
}

}  // namespace corral::serve
