#include "serve/server.h"

#include <utility>

#include "serve/api_error.h"
#include "serve/guard_model.h"
#include "serve/metrics.h"
#include "serve/static_files.h"

namespace corral::serve {
namespace {

constexpr int kLightWorkers = 2;
constexpr int kHeavyWorkers = 2;
constexpr size_t kHeavyBytes = size_t{256} << 10;

using Endpoint = void (*)(Backend&, const Call&);

Endpoint endpoint_of(const std::string& path) {
  static const std::map<std::string, Endpoint> endpoints = {
      {"/v1/chat/completions", post_chat_completions},
      {"/v1/completions", post_completions},
      {"/v1/embeddings", post_embeddings},
      {"/v1/messages", post_messages},
      {"/v1/messages/count_tokens", post_count_tokens},
      {"/v1/responses", post_responses},
      {"/tokenize", post_tokenize},
      {"/detokenize", post_detokenize}};
  if (path.starts_with("/slots/")) return post_slots;
  const auto found = endpoints.find(path);
  return found == endpoints.end() ? nullptr : found->second;
}

ErrorStyle style_of(const HttpRequest& request) {
  return request.path.starts_with("/v1/messages") ? ErrorStyle::kAnthropic : ErrorStyle::kOpenAi;
}

bool is_json(std::string_view content_type) {
  return content_type.substr(0, content_type.find(';')) == "application/json";
}

// Pictures take long: those who send none do not wait for them.
bool is_heavy(const std::string& body) {
  return body.size() > kHeavyBytes || body.find("image") != body.npos ||
         body.find("video") != body.npos;
}

// What a browser asks before a page of another site may send a request.
HttpResponse preflight() {
  HttpResponse response{.status = 204};
  response.headers = {
      {"Access-Control-Allow-Methods", "GET, POST, DELETE"},
      {"Access-Control-Allow-Headers",
       "Authorization, Content-Type, X-Api-Key, Anthropic-Version, Anthropic-Beta, *"},
      {"Access-Control-Max-Age", "600"}};
  return response;
}

ModerationPtr moderation_of(const GuardOptions& options) {
  if (!options.model) return nullptr;
  GuardPrompt prompt = options.prompt.empty() ? GuardPrompt() : GuardPrompt(options.prompt);
  auto model = std::make_unique<Service>(options.model->name, options.model->open());
  return std::make_shared<Moderation>(
      std::make_unique<GuardModel>(std::move(model), std::move(prompt)), options.questions,
      options.answers);
}

}  // namespace

Server::Server(Shelf& shelf, const ServerOptions& options)
    : options_(options),
      guard_(options.http, options.hosts),
      keys_(options.api_keys, options.api_key_file),
      backend_{.shelf = shelf,
               .media = options.media,
               .responses = ResponseStore(options.response_bytes),
               .sessions = options.sessions,
               .moderation = moderation_of(options.guard)},
      log_(std::make_shared<Log>()),
      light_(kLightWorkers),
      heavy_(kHeavyWorkers) {
  options.media.check();
  log_->write = options.log;
  if (!options.searxng.empty()) web_search_ = std::make_unique<WebSearch>(options.searxng);
  HttpHandlers handlers;
  handlers.admit = [this](const HttpRequest& head) { return admit(head); };
  handlers.handle = [this](HttpRequest request, const ResponderPtr& responder) {
    handle(std::move(request), responder);
  };
  handlers.trouble = options.trouble;
  http_ = std::make_unique<HttpServer>(options.http, std::move(handlers));
}

Server::~Server() {
  // Requests that end after the server are answered by the shelf's engines: without verdicts.
  if (backend_.moderation != nullptr) backend_.moderation->close();
}

bool Server::drain(std::chrono::milliseconds limit) {
  draining_ = true;
  backend_.shelf.drain();
  return http_->drain_and_wait(limit);
}

// Everything that can be said without the body, so that nobody sends one for nothing.
std::unique_ptr<HttpResponse> Server::admit(const HttpRequest& head) {
  KeyRing::Client client;
  try {
    guard_.check(head);
    if (head.method != "POST" || endpoint_of(head.path) == nullptr) return nullptr;
    client = client_of(head);
    // A page of another site can send other types without asking; this one makes browsers ask.
    if (!is_json(head.content_type)) {
      throw ApiError(415, "the Content-Type must be application/json");
    }
    if (draining_) throw ApiError(503, "the server is shutting down");
    if (client.quota == nullptr) return nullptr;
    if (const auto seconds = client.quota->admit(std::chrono::steady_clock::now())) {
      throw ApiError(429, str("the quota of this key is used up: try again in ", *seconds, " s"),
                     "", "rate_limit_exceeded", *seconds);
    }
    return nullptr;
  } catch (const ApiError& error) {
    log_of(head, client)(error.status(), {});
    return std::make_unique<HttpResponse>(error_response(error, style_of(head)));
  }
}

void Server::handle(HttpRequest request, const ResponderPtr& responder) {
  KeyRing::Client client;
  try {
    Endpoint endpoint = request.method == "POST" ? endpoint_of(request.path) : nullptr;
    if (request.method == "GET" && request.path == "/slots") endpoint = get_slots;
    if (endpoint != nullptr) {
      client = client_of(request);
      const Ended ended = log_of(request, client);
      return post(endpoint, std::move(request), responder, client, ended);
    }
    if (web_search_ != nullptr && request.path == "/page/search") {
      return search(request, responder);
    }
    HttpResponse response = answer_at_once(request);
    const int status = response.status;
    responder->send(std::move(response));
    log_of(request, client)(status, {});
  } catch (const ApiError& error) {
    responder->send(error_response(error, style_of(request)));
    log_of(request, client)(error.status(), {});
  }
}

void Server::post(Endpoint endpoint, HttpRequest request, const ResponderPtr& responder,
                  const KeyRing::Client& client, const Ended& ended) {
  Workers& workers = is_heavy(request.body) ? heavy_ : light_;
  const ErrorStyle style = style_of(request);
  const auto call =
      std::make_shared<const Call>(Call{std::move(request), responder, client.name, ended});
  workers.post([this, endpoint, style, call] {
    const auto fail = [&](const ApiError& error) {
      call->responder->send(error_response(error, style));
      call->ended(error.status(), {});
    };
    try {
      endpoint(backend_, *call);
    } catch (const ApiError& error) {
      fail(error);
    } catch (const std::exception& error) {
      fail(ApiError(500, error.what()));
    }
  });
}

void Server::search(const HttpRequest& request, const ResponderPtr& responder) {
  const KeyRing::Client client = client_of(request);
  if (request.method != "POST") throw ApiError(405, request.path + " takes POST only");
  if (!is_json(request.content_type)) {
    throw ApiError(415, "the Content-Type must be application/json");
  }
  const Ended ended = log_of(request, client);
  web_search_->answer(request, responder, [ended](int status) { ended(status, {}); });
}

HttpResponse Server::answer_at_once(const HttpRequest& request) {
  const auto is = [&](std::string_view path) {
    if (request.path != path) return false;
    if (request.method != "GET") throw ApiError(405, request.path + " takes GET only");
    return true;
  };
  if (request.method == "OPTIONS") return preflight();
  if (is("/health")) {
    return {.status = draining_ ? 503 : 200,
            .body = draining_ ? R"({"status":"draining"})" : R"({"status":"ok"})"};
  }
  if (auto file = get_static_file(request)) return std::move(*file);
  const std::string client = client_of(request).name;
  if (endpoint_of(request.path) != nullptr) throw ApiError(405, request.path + " takes POST only");
  if (is("/page/features")) {
    return {.body = dump({{"web_search", web_search_ != nullptr}, {"expert_routing", true}})};
  }
  if (is("/v1/models")) return {.body = dump(backend_.shelf.list())};
  constexpr std::string_view kModel = "/v1/models/";
  if (request.path.starts_with(kModel) && request.method == "GET") {
    return {.body = dump(backend_.shelf.describe(request.path.substr(kModel.size())))};
  }
  constexpr std::string_view kResponse = "/v1/responses/";
  if (request.path.starts_with(kResponse)) {
    return stored_response(backend_, request, request.path.substr(kResponse.size()), client);
  }
  if (is("/metrics")) return {.body = metrics(), .content_type = "text/plain; version=0.0.4"};
  throw ApiError(
      404, str("there is no ", request.method.substr(0, 20), " ", request.path.substr(0, 100)));
}

// Throws ApiError 401 for a key that is needed and not known.
KeyRing::Client Server::client_of(const HttpRequest& request) {
  if (keys_.open()) return {};
  constexpr std::string_view kBearer = "Bearer ";
  std::string_view given = request.authorization;
  if (given.starts_with(kBearer)) given.remove_prefix(kBearer.size());
  if (given.empty()) given = request.api_key;
  auto client = keys_.find(given);
  if (!client) {
    throw ApiError(401, "this server needs an API key it knows: Authorization: Bearer KEY");
  }
  return std::move(*client);
}

Ended Server::log_of(const HttpRequest& request, const KeyRing::Client& client) const {
  const auto start = Clock::now();
  return [log = log_, start, client, method = request.method.substr(0, 20),
          path = request.path.substr(0, 100)](int status, const Usage& usage) {
    const auto now = Clock::now();
    if (client.quota != nullptr) {
      client.quota->spend_tokens(usage.prompt_tokens + usage.completion_tokens, now);
    }
    const std::lock_guard lock(log->mutex);
    ++log->answered[status];
    if (!log->write) return;
    OrderedJson line;
    line["time"] = seconds_since_1970();
    line["method"] = method;
    line["path"] = path;
    line["status"] = status;
    line["seconds"] = std::chrono::duration<double>(now - start).count();
    if (!client.name.empty()) line["client"] = client.name;
    line["prompt_tokens"] = usage.prompt_tokens;
    line["cached_tokens"] = usage.cached_tokens;
    line["answer_tokens"] = usage.completion_tokens;
    log->write(dump(line));
  };
}

std::string Server::metrics() const {
  const std::lock_guard lock(log_->mutex);
  return metrics_text(backend_.shelf.stats(), http_->stats(), log_->answered,
                      backend_.moderation.get());
}

}  // namespace corral::serve
