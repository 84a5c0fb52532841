#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/session.h"
#include "model/tiny_model.h"
#include "serve/http_client.h"
#include "serve/server.h"

namespace corral::serve::test {

/// A server of a tiny random model on a free port of the loopback address.
class ServerTest : public ::testing::Test {
 protected:
  void start(const std::function<void(ServerOptions&, engine::SchedulerOptions&)>& change = {}) {
    ServerOptions options;
    options.http.port = 0;
    options.log = [this](const std::string& line) { log += line + "\n"; };
    engine::SchedulerOptions scheduling;
    scheduling.kv_bytes = int64_t{1} << 27;
    if (change) change(options, scheduling);
    std::vector<ShelfEntry> entries(1);
    entries[0].name = "tiny";
    entries[0].preload = true;
    entries[0].open = [this, scheduling] {
      Service::Parts parts;
      parts.tokenizer = tokenizer;
      parts.engine = std::make_unique<engine::Engine>(model, tokenizer, scheduling,
                                                      speculator ? speculator() : nullptr);
      return parts;
    };
    shelf = std::make_unique<Shelf>(std::move(entries), 1);
    server = std::make_unique<Server>(*shelf, options);
  }
  void TearDown() override {
    server.reset();
    shelf.reset();
  }
  Reply post(const std::string& path, const nlohmann::json& body) const {
    return ask(server->port(), "POST", path, body.dump());
  }
  Reply get(const std::string& path) const { return ask(server->port(), "GET", path); }
  /// Waits until a metric has the value (connections end on the server's thread).
  bool wait_metric(const std::string& line) const {
    for (int i = 0; i < 2000; ++i) {
      if (get("/metrics").body.find("\n" + line + "\n") != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  static model::Config config_of_bytes() {
    model::Config config = corral::test::tiny_config();
    config.vocab_size = 264;
    return config;
  }
  DevicePtr device = Device::cpu({.threads = 1, .isa = simd::detect_isa()});
  model::Config config = config_of_bytes();
  model::TextModel model = corral::test::tiny_model(config, device);
  std::shared_ptr<const text::Tokenizer> tokenizer = corral::test::byte_tokenizer();
  std::function<std::unique_ptr<engine::Speculator>()> speculator;  // set before start()
  std::string log;  // read after TearDown or drain only
  std::unique_ptr<Shelf> shelf;
  std::unique_ptr<Server> server;
};

}  // namespace corral::serve::test
