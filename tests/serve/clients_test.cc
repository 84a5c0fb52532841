#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "model/loaded_model.h"
#include "serve/server.h"
#include "support/paths.h"

namespace corral::serve {
namespace {

// The clients that people use, against the model that comes with Corral.
TEST(Clients, OpenAIsOwnClientIsContent) {
  const auto folder = corral::test::source_dir() / "tests" / "serve" / "clients";
  if (!std::filesystem::exists(folder / "node_modules" / "openai")) {
    GTEST_SKIP() << "no openai in " << folder << ": npm install there";
  }
  const DevicePtr device = Device::cpu({.threads = 1, .isa = simd::detect_isa()});
  const auto loaded =
      model::load_model(corral::test::source_dir() / "models" / "llama-scout-mini.gguf", device);
  engine::Engine engine(loaded.model, loaded.need_tokenizer(), {});
  ServerOptions options;
  options.http.port = 0;
  options.model = "llama-scout-mini";
  options.api_keys = {"key-of-the-test"};
  const Server server(engine, loaded.tokenizer, options);
  const std::string command = "node " + (folder / "openai.mjs").string() +
                              " http://127.0.0.1:" + std::to_string(server.port()) + "/v1";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

}  // namespace
}  // namespace corral::serve
