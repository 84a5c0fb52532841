#include "serve/web_search.h"

#include <utility>

#include "base/error.h"
#include "hub/http.h"
#include "hub/url.h"
#include "serve/api_error.h"
#include "serve/api_json.h"

namespace corral::serve {
namespace {

constexpr size_t kMostQueryBytes = 500;
constexpr size_t kMostWaiting = 16;
constexpr size_t kMostResults = 10;
constexpr size_t kMostTextBytes = 600;
constexpr size_t kMostAnswerBytes = 4 << 20;
constexpr double kSeconds = 15;

std::string text_of(const OrderedJson& result, const char* name) {
  const auto found = result.find(name);
  if (found == result.end() || !found->is_string()) return "";
  std::string text = found->get<std::string>();
  if (text.size() <= kMostTextBytes) return text;
  // Not in the middle of a character.
  size_t end = kMostTextBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

std::string search_results(std::string_view searxng_json) {
  const OrderedJson parsed = OrderedJson::parse(searxng_json, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("results") || !parsed["results"].is_array()) {
    throw CorruptFile("the search server's answer has no results: is its JSON format allowed?");
  }
  OrderedJson results = OrderedJson::array();
  for (const OrderedJson& result : parsed["results"]) {
    if (results.size() == kMostResults) break;
    if (!result.is_object()) continue;
    const std::string url = text_of(result, "url");
    if (!url.starts_with("https://") && !url.starts_with("http://")) continue;
    results.push_back({{"title", text_of(result, "title")},
                       {"url", url},
                       {"content", text_of(result, "content")}});
  }
  return dump({{"results", std::move(results)}});
}

WebSearch::WebSearch(const std::string& address) : address_(address) {
  hub::origin_of(address_);  // throws
  while (address_.ends_with('/')) address_.pop_back();
  thread_ = std::thread([this] { loop(); });
}

WebSearch::~WebSearch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  for (const Task& task : waiting_) {
    task.responder->send(error_response(ApiError(503, "the server is shutting down")));
    task.ended(503);
  }
}

void WebSearch::answer(const HttpRequest& request, ResponderPtr responder,
                       std::function<void(int status)> ended) {
  const OrderedJson json = parse_body(request.body);
  const Fields fields(json);
  const std::string query = fields.text("query").value_or("");
  if (query.empty() || query.size() > kMostQueryBytes) {
    fields.fail("query", str("has ", query.size(), " bytes, needs 1 to ", kMostQueryBytes));
  }
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMostWaiting) throw ApiError(429, "too many searches wait");
    waiting_.push_back({query, std::move(responder), std::move(ended)});
  }
  wake_.notify_one();
}

void WebSearch::loop() {
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      task = std::move(waiting_.front());
      waiting_.pop_front();
    }
    run(task);
  }
}

void WebSearch::run(const Task& task) const {
  int status = 200;
  try {
    hub::HttpOptions options;
    options.connect_seconds = kSeconds;
    options.stall_seconds = kSeconds;
    options.cancel = &stopping_;
    std::string body;
    const hub::BodySink sink = [&](const hub::HttpResponse&, std::string_view bytes) {
      body += bytes;
      return body.size() <= kMostAnswerBytes;
    };
    const auto response = hub::HttpClient(options).get(
        str(address_, "/search?format=json&q=", hub::url_encode(task.query)), {}, sink);
    if (response.status != 200) {
      throw IoError(str("the search server answers with status ", response.status));
    }
    task.responder->send({.body = search_results(body)});
  } catch (const Error& error) {
    status = 502;
    task.responder->send(error_response(ApiError(status, str("search: ", error.what()))));
  }
  task.ended(status);
}

}  // namespace corral::serve
