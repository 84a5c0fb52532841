#include "engine/session_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "engine/engine_fixture.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "support/temp_dir.h"

namespace corral::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class SessionFile : public ::testing::Test {
 protected:
  DevicePtr device = Device::cpu({.threads = 1, .isa = simd::detect_isa()});
  model::TextModel model = corral::test::tiny_model(fixture::byte_config(), device);
  std::shared_ptr<const text::Tokenizer> tokenizer = corral::test::byte_tokenizer();
  test::TempDir folder;

  Request request(int64_t tokens, int64_t answer) const {
    Request r;
    r.prompt.tokens = corral::test::some_tokens(tokens, 264);
    r.options.max_tokens = answer;
    r.options.ignore_stop_tokens = true;
    r.session = 0;
    return r;
  }
  std::shared_ptr<fixture::Waiting> ask(Engine& engine, Request r) const {
    auto sink = std::make_shared<fixture::Waiting>();
    r.sink = sink;
    engine.submit(std::move(r));
    sink->wait_end();
    return sink;
  }
  /// A session of 150 tokens and some, saved by an engine that is gone.
  std::vector<uint64_t> save(const std::filesystem::path& path) const {
    Engine engine(model, tokenizer, fixture::roomy());
    const auto sink = ask(engine, request(150, 9));
    EXPECT_EQ(sink->outcome->identities.size(), 158u);  // the last one was not fed
    return save_session(engine, sink->outcome->identities, path).identities;
  }
  /// The same file with other metadata or tensors.
  void rewrite(const std::filesystem::path& from, const std::filesystem::path& to,
               const std::function<void(io::SafetensorsMetadata&, std::vector<io::NamedTensor>&)>&
                   change) const {
    const io::SafetensorsFile file(from);
    io::SafetensorsMetadata metadata = file.metadata();
    std::vector<io::NamedTensor> tensors;
    for (const io::TensorInfo& info : file.tensors()) {
      tensors.push_back({info.name, file.get(info.name, device)});
    }
    change(metadata, tensors);
    io::write_safetensors(to, tensors, metadata);
  }
};

TEST_F(SessionFile, GoesOnInAnotherProcessWithTheSameBits) {
  const auto path = folder.path() / "a.session";
  const auto identities = save(path);
  EXPECT_EQ(identities.size(), 158u);

  Request longer = request(150, 9);
  longer.prompt.tokens.clear();
  for (const uint64_t identity : identities) {
    longer.prompt.tokens.push_back(static_cast<int32_t>(identity));
  }
  longer.prompt.tokens.push_back(7);
  longer.options.max_tokens = 20;
  longer.options.logprobs = 3;
  Engine cold(model, tokenizer, fixture::roomy());
  const auto expected = ask(cold, longer);

  Engine warm(model, tokenizer, fixture::roomy());
  const SessionInfo restored = restore_session(warm, path);
  EXPECT_EQ(restored.identities, identities);
  EXPECT_EQ(restored.bytes, static_cast<int64_t>(std::filesystem::file_size(path)));
  const auto heard = ask(warm, longer);
  EXPECT_EQ(heard->prompt.cached_tokens, 158);
  EXPECT_EQ(heard->choices.at(0).tokens, expected->choices.at(0).tokens);
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(heard->choices.at(0).logprobs[i].token.logprob,
              expected->choices.at(0).logprobs[i].token.logprob);
  }
}

TEST_F(SessionFile, IsRefusedByAnotherModelAndAnotherWayToRunIt) {
  const auto path = folder.path() / "a.session";
  save(path);
  const auto refused = ThrowsMessage<UsageError>(HasSubstr("saved with another model"));
  SchedulerOptions other_types = fixture::roomy();
  other_types.kv_types.k = DType::kBF16;
  Engine bf16(model, tokenizer, other_types);
  EXPECT_THAT([&] { restore_session(bf16, path); }, refused);
  const model::TextModel other = corral::test::tiny_model(fixture::byte_config(), device, 99);
  Engine another(other, tokenizer, fixture::roomy());
  EXPECT_THAT([&] { restore_session(another, path); }, refused);
}

TEST_F(SessionFile, IsRefusedWithOneLineWhenItIsHostile) {
  const auto good = folder.path() / "good.session";
  const auto bad = folder.path() / "bad.session";
  save(good);
  Engine engine(model, tokenizer, fixture::roomy());
  const auto expect = [&](const char* message) {
    EXPECT_THAT([&] { restore_session(engine, bad); },
                ThrowsMessage<Error>(testing::AllOf(HasSubstr("bad.session"), HasSubstr(message))));
    engine.between_steps([](Scheduler& scheduler) {
      EXPECT_EQ(scheduler.stats().kv_bytes, 0);  // nothing stays behind
    });
  };
  rewrite(good, bad, [](auto& metadata, auto&) { metadata["format"] = "pt"; });
  expect("no saved session");
  rewrite(good, bad, [](auto& metadata, auto&) { metadata["version"] = "2"; });
  expect("version '2'");
  rewrite(good, bad, [](auto& metadata, auto&) { metadata.erase("checksum"); });
  expect("damaged");
  rewrite(good, bad, [](auto&, auto& tensors) {
    std::erase_if(tensors, [](const auto& tensor) { return tensor.name == "identities"; });
  });
  expect("without its tokens' identities");
  rewrite(good, bad, [](auto&, auto& tensors) {
    std::erase_if(tensors, [](const auto& tensor) { return tensor.name == "pages.0"; });
  });
  expect("pages.0 is not [");
  for (const int64_t token : {int64_t{-1}, int64_t{264}}) {
    rewrite(good, bad, [&](auto&, auto& tensors) {
      for (io::NamedTensor& named : tensors) {
        if (named.name != "identities") continue;
        named.tensor = named.tensor.clone();
        named.tensor.template mutable_data<int64_t>()[3] = token;
      }
    });
    expect("is none of the 264");
  }
  // One bit of the keys, and a file that ends early.
  std::string bytes = read_file(good);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  std::ofstream(bad, std::ios::binary) << bytes;
  expect("damaged");
  for (size_t length = 0; length < bytes.size(); length += 997) {
    std::ofstream(bad, std::ios::binary) << bytes.substr(0, length);
    EXPECT_THROW(restore_session(engine, bad), Error) << length;
  }
}

TEST_F(SessionFile, NeedsMemoryAndSomethingToSave) {
  const auto path = folder.path() / "a.session";
  save(path);
  SchedulerOptions small = fixture::roomy();
  Engine engine(model, tokenizer, fixture::roomy());
  EXPECT_THAT(
      [&] {
        save_session(engine, std::vector<uint64_t>{1, 2, 3}, path);
      },
      ThrowsMessage<UsageError>(HasSubstr("in the prefix cache any more")));
  EXPECT_THAT([&] { save_session(engine, std::vector<uint64_t>{uint64_t{1} << 63}, path); },
              ThrowsMessage<UsageError>(HasSubstr("pictures")));
  small.context_tokens = 100;
  Engine narrow(model, tokenizer, small);
  EXPECT_THAT([&] { restore_session(narrow, path); },
              ThrowsMessage<UsageError>(HasSubstr("the context holds 100")));
  small.prefix_cache = false;
  Engine forgetful(model, tokenizer, small);
  EXPECT_THAT([&] { restore_session(forgetful, path); },
              ThrowsMessage<UsageError>(HasSubstr("--no-prefix-cache")));
}

}  // namespace
}  // namespace corral::engine
