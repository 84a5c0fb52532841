#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "model/loaded_model.h"
#include "serve/server.h"
#include "support/paths.h"

namespace corral::serve {
namespace {

// The clients that people use, against the model that comes with Corral.
TEST(Clients, OfOpenAIAnthropicVercelAndLangChainAreContent) {
  const auto folder = corral::test::source_dir() / "tests" / "clients";
  if (!std::filesystem::exists(folder / "node_modules" / "openai")) {
    GTEST_SKIP() << "no clients in " << folder << ": make test-clients";
  }
  const DevicePtr device = Device::cpu({.threads = 1, .isa = simd::detect_isa()});
  const auto loaded =
      model::load_model(corral::test::source_dir() / "models" / "llama-scout-mini.gguf", device);
  std::vector<ShelfEntry> entries(1);
  entries[0].name = "llama-scout-mini";
  entries[0].open = [&] {
    Service::Parts parts;
    parts.tokenizer = loaded.need_tokenizer();
    parts.engine =
        std::make_unique<engine::Engine>(loaded.model, parts.tokenizer, engine::SchedulerOptions{});
    return parts;
  };
  Shelf shelf(std::move(entries), 1);
  ServerOptions options;
  options.http.port = 0;
  options.api_keys = {"key-of-the-test"};
  const Server server(shelf, options);
  for (const char* script : {"openai.mjs", "anthropic.mjs", "ai.mjs"}) {
    const std::string command = "node " + (folder / script).string() +
                                " http://127.0.0.1:" + std::to_string(server.port()) + "/v1";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }
}

}  // namespace
}  // namespace corral::serve
