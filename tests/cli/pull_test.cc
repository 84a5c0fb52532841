// `corral pull` as a program: environment, kill -9, and the pulled model as MODEL.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <fstream>

#include "base/file.h"
#include "hub/small_hub.h"
#include "model/gguf_checkpoint.h"
#include "model/tiny_model.h"
#include "support/temp_dir.h"

namespace corral::test {
namespace {

using ::testing::HasSubstr;

class PullCommand : public testing::Test {
 protected:
  /// Starts the program with its output in files of the folder.
  pid_t start(const std::vector<std::string>& arguments,
              const std::vector<std::string>& environment) const {
    std::vector<std::string> all = {CORRAL_BINARY};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<std::string> variables = {"HOME=" + (dir_.path() / "home").string()};
    variables.insert(variables.end(), environment.begin(), environment.end());
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> result;
      for (std::string& text : texts) result.push_back(text.data());
      result.push_back(nullptr);
      return result;
    };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const auto redirect = [&](int descriptor, const char* name) {
      posix_spawn_file_actions_addopen(&actions, descriptor, (dir_.path() / name).c_str(),
                                       O_WRONLY | O_CREAT | O_TRUNC, 0644);
    };
    redirect(1, "out");
    redirect(2, "err");
    pid_t child = -1;
    const int failed = ::posix_spawn(&child, CORRAL_BINARY, &actions, nullptr, pointers(all).data(),
                                     pointers(variables).data());
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) throw IoError("cannot start the program");
    return child;
  }

  int run(const std::vector<std::string>& arguments,
          const std::vector<std::string>& environment = {}) const {
    int status = 0;
    ::waitpid(start(arguments, environment), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string out() const { return read_file(dir_.path() / "out"); }
  std::string err() const { return read_file(dir_.path() / "err"); }
  std::filesystem::path models() const { return dir_.path() / "home/.cache/corral/models"; }

  TempDir dir_;
};

TEST_F(PullCommand, GoesOnAfterAKill) {
  const std::string content(80 << 20, 'x');  // three parts
  std::atomic<bool> stalls = true;
  SmallHub hub({{"weights.safetensors", content}},
               [&](const HubRequest& request) -> std::optional<HubReply> {
                 if (!stalls || request.range.empty() || request.range.starts_with("bytes=0-")) {
                   return std::nullopt;
                 }
                 return HubReply{.status = 206, .claimed_bytes = 100, .stall = true};
               });
  const std::vector<std::string> command = {"pull", "org/model", "--hub", hub.url()};
  const pid_t child = start(command, {});
  const auto parts = models() / "org/model/weights.safetensors.parts";
  std::error_code error;
  while (!std::filesystem::exists(parts, error) ||
         read_file(parts).find("\n0.\n") == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << err();
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(std::filesystem::exists(models() / "org/model/weights.safetensors"));
  stalls = false;
  EXPECT_EQ(run(command), 0) << err();
  EXPECT_THAT(out(), HasSubstr(str("83886080 bytes, of which ", (80 << 20) - (32 << 20))));
  EXPECT_EQ(std::filesystem::file_size(models() / "org/model/weights.safetensors"), content.size());
}

TEST_F(PullCommand, MakesTheModelKnownByItsName) {
  const auto config = tiny_config();
  const auto model = tiny_model(config, Device::cpu());
  save_gguf(dir_.path() / "m.gguf", config, model.weights(), byte_tokenizer().get(), {});
  SmallHub hub({{"m-Q8_0.gguf", read_file(dir_.path() / "m.gguf")}, {"README.md", "hello"}});
  EXPECT_EQ(run({"pull", "org/model"}, {"HF_ENDPOINT=" + hub.url(), "HF_TOKEN=secret"}), 0)
      << err();
  for (const HubRequest& request : hub.server().requests()) {
    EXPECT_EQ(request.authorization, "Bearer secret");
  }
  EXPECT_EQ(run({"list"}), 0);
  EXPECT_THAT(out(), HasSubstr("org/model\t"));
  EXPECT_EQ(run({"info", "org/model"}), 0) << err();
  EXPECT_EQ(run({"run", "org/model", "-p", "x", "-n", "2", "--seed", "1"}), 0) << err();
  EXPECT_EQ(run({"info", "org/other"}), 2);
  EXPECT_THAT(err(), HasSubstr("org/model"));
}

TEST_F(PullCommand, PutsFilesWhereToSays) {
  SmallHub hub(std::map<std::string, std::string>{{"config.json", "{}"}});
  const auto to = dir_.path() / "here";
  EXPECT_EQ(run({"pull", "org/model", "--to", to.string(), "--hub", hub.url()}), 0) << err();
  EXPECT_EQ(read_file(to / "config.json"), "{}");
  EXPECT_EQ(run({"pull", "org/absent", "--hub", hub.url()}), 1);
  EXPECT_THAT(err(), HasSubstr("no repository org/absent"));
  EXPECT_EQ(run({"pull", "../absent", "--hub", hub.url()}), 2);
}

}  // namespace
}  // namespace corral::test
