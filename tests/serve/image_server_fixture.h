#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "engine/image_fixture.h"
#include "serve/http_client.h"
#include "serve/server.h"

namespace corral::serve::test {

/// A server of a tiny random model that sees.
class SightedServer : public engine::fixture::ImageSession {
 protected:
  void start(const MediaOptions& media = {}, bool sees = true) {
    std::vector<ShelfEntry> entries(1);
    entries[0].name = "tiny";
    entries[0].open = [this, sees] {
      Service::Parts parts;
      parts.tokenizer = vocabulary;
      if (sees) parts.eyes = std::make_unique<engine::ImageEncoder>(tower, model::ForwardOptions{});
      engine::SchedulerOptions options;
      options.kv_bytes = int64_t{1} << 28;
      parts.engine = std::make_unique<engine::Engine>(model, vocabulary, options);
      return parts;
    };
    shelf = std::make_unique<Shelf>(std::move(entries), 1);
    ServerOptions options;
    options.http.port = 0;
    options.media = media;
    server = std::make_unique<Server>(*shelf, options);
  }
  void TearDown() override {
    server.reset();
    shelf.reset();
  }
  Reply post(const std::string& path, const nlohmann::json& body) const {
    return test::ask(server->port(), "POST", path, body.dump());
  }
  static nlohmann::json part(const std::string& url, const char* detail = "auto") {
    return {{"type", "image_url"}, {"image_url", {{"url", url}, {"detail", detail}}}};
  }
  static std::string data_url(const std::string& file, const std::string& type = "image/bmp") {
    return "data:" + type + ";base64," + base64_encode(file);
  }
  static nlohmann::json chat(const std::vector<nlohmann::json>& parts) {
    return {{"messages", {{{"role", "user"}, {"content", parts}}}},
            {"max_tokens", 12},
            {"ignore_eos", true},
            {"temperature", 0}};
  }
  /// The same asked of a session.
  std::string alone(const engine::Prompt& prompt) const {
    engine::GenerateOptions options;
    options.max_tokens = 12;
    options.ignore_stop_tokens = true;
    options.sampling.temperature = 0;
    return engine::Session(model, vocabulary).generate(prompt, options).text;
  }
  std::string refused(const std::vector<nlohmann::json>& parts) const {
    const Reply reply = post("/v1/chat/completions", chat(parts));
    EXPECT_EQ(reply.status, 400) << reply.body;
    return reply.json()["error"]["message"];
  }

  std::unique_ptr<Shelf> shelf;
  std::unique_ptr<Server> server;
};

}  // namespace corral::serve::test
