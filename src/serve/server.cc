#include "serve/server.h"

#include <random>
#include <utility>

#include "base/random.h"
#include "serve/api_error.h"
#include "serve/metrics.h"
#include "serve/static_files.h"

namespace corral::serve {
namespace {

int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

uint64_t random_secret() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

bool is_json(std::string_view content_type) {
  return content_type.substr(0, content_type.find(';')) == "application/json";
}

}  // namespace

bool equal_in_constant_time(std::string_view given, std::string_view expected) {
  // The loop runs over what was given, so the time tells nothing about what was expected.
  unsigned difference = given.size() == expected.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const auto other = expected.empty() ? '\0' : expected[i % expected.size()];
    difference |= static_cast<unsigned>(static_cast<unsigned char>(given[i]) ^
                                        static_cast<unsigned char>(other));
  }
  return difference == 0;
}

Server::Server(engine::Engine& engine, std::shared_ptr<const text::Tokenizer> tokenizer,
               const ServerOptions& options)
    : engine_(engine),
      options_(options),
      service_{.engine = engine,
               .tokenizer = std::move(tokenizer),
               .model = options.model,
               .created = seconds_now(),
               .secret = random_secret()},
      log_(std::make_shared<Log>()) {
  log_->write = options.log;
  for (const std::string& key : options.api_keys) {
    if (key.empty()) throw UsageError("an API key is empty");
  }
  if (!options.searxng.empty()) web_search_ = std::make_unique<WebSearch>(options.searxng);
  http_ = std::make_unique<HttpServer>(
      options.http, [this](const HttpRequest& request, const ResponderPtr& responder) {
        handle(request, responder);
      });
}

Server::~Server() = default;

bool Server::drain(std::chrono::milliseconds limit) {
  draining_ = true;
  engine_.drain();
  return http_->drain_and_wait(limit);
}

void Server::handle(const HttpRequest& request, const ResponderPtr& responder) {
  const Ended ended = log_of(request);
  try {
    route(request, responder, ended);
  } catch (const ApiError& error) {
    responder->send(error_response(error));
    ended(error.status(), {});
  }
}

void Server::route(const HttpRequest& request, const ResponderPtr& responder, const Ended& ended) {
  const auto whole = [&](HttpResponse response) {
    const int status = response.status;
    responder->send(std::move(response));
    ended(status, {});
  };
  const bool get = request.method == "GET";
  const auto need = [&](const char* method) {
    if (request.method != method)
      throw ApiError(405, str(request.path, " takes ", method, " only"));
  };
  if (request.path == "/health") {
    need("GET");
    return whole({.status = draining_ ? 503 : 200,
                  .body = draining_ ? R"({"status":"draining"})" : R"({"status":"ok"})"});
  }
  if (auto file = get_static_file(request)) return whole(std::move(*file));
  check_key(request);
  using Post = void (*)(Service&, const Call&);
  static const std::map<std::string, Post> answers = {
      {"/v1/chat/completions", post_chat_completions}, {"/v1/completions", post_completions}};
  using Small = HttpResponse (*)(const Service&, const HttpRequest&);
  static const std::map<std::string, Small> small = {{"/tokenize", post_tokenize},
                                                     {"/detokenize", post_detokenize}};
  const auto answer = answers.find(request.path);
  const auto quick = small.find(request.path);
  if (answer != answers.end() || quick != small.end()) {
    need("POST");
    // A page of another site can send other types without asking; this one makes browsers ask.
    if (!is_json(request.content_type)) {
      throw ApiError(415, "the Content-Type must be application/json");
    }
    if (draining_) throw ApiError(503, "the server is shutting down");
    if (quick != small.end()) return whole(quick->second(service_, request));
    return answer->second(service_, {request, responder, client_of(request), ended});
  }
  if (request.path == "/page/features" && get) {
    return whole({.body = dump({{"web_search", web_search_ != nullptr}})});
  }
  if (request.path == "/page/search" && web_search_ != nullptr) {
    need("POST");
    if (!is_json(request.content_type)) {
      throw ApiError(415, "the Content-Type must be application/json");
    }
    return web_search_->answer(request, responder, [ended](int status) { ended(status, {}); });
  }
  if (request.path == "/v1/models" && get) return whole(get_models(service_));
  if (request.path == "/metrics" && get) {
    return whole({.body = metrics(), .content_type = "text/plain; version=0.0.4"});
  }
  throw ApiError(
      404, str("there is no ", request.method.substr(0, 20), " ", request.path.substr(0, 100)));
}

void Server::check_key(const HttpRequest& request) const {
  if (options_.api_keys.empty()) return;
  constexpr std::string_view kBearer = "Bearer ";
  std::string_view given = request.authorization;
  if (given.starts_with(kBearer)) given.remove_prefix(kBearer.size());
  bool known = false;
  for (const std::string& key : options_.api_keys) {
    known = equal_in_constant_time(given, key) || known;
  }
  if (!known)
    throw ApiError(401, "this server needs an API key it knows: Authorization: Bearer KEY");
}

// Requests with one key share their turns. The queue does not need the key itself.
std::string Server::client_of(const HttpRequest& request) const {
  return std::to_string(hash_name(request.authorization));
}

Ended Server::log_of(const HttpRequest& request) const {
  const auto start = engine::Clock::now();
  return [log = log_, start, method = request.method.substr(0, 20),
          path = request.path.substr(0, 100)](int status, const Usage& usage) {
    const double seconds = std::chrono::duration<double>(engine::Clock::now() - start).count();
    const std::lock_guard lock(log->mutex);
    ++log->answered[status];
    if (!log->write) return;
    OrderedJson line;
    line["time"] = seconds_now();
    line["method"] = method;
    line["path"] = path;
    line["status"] = status;
    line["seconds"] = seconds;
    line["prompt_tokens"] = usage.prompt_tokens;
    line["cached_tokens"] = usage.cached_tokens;
    line["answer_tokens"] = usage.completion_tokens;
    log->write(dump(line));
  };
}

std::string Server::metrics() const {
  const std::lock_guard lock(log_->mutex);
  return metrics_text(engine_.stats(), http_->stats(), log_->answered);
}

}  // namespace corral::serve
