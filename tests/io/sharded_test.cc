#include <cstdint>
#include <vector>

#include "base/json.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "io/support.h"

namespace corral::io {
namespace {

using test::randn;
using test::same_bits;
using test::TempDir;
using test::test_device;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::vector<NamedTensor> model(uint64_t seed) {
  // 400, 800, 40 and 2000 bytes.
  return {{"a", randn({10, 10}, seed)},
          {"b", randn({200}, seed + 1)},
          {"c", randn({10}, seed + 2)},
          {"d", randn({500}, seed + 3)}};
}

void expect_holds(const fs::path& folder, const std::vector<NamedTensor>& tensors) {
  const auto source = open_sharded(folder);
  EXPECT_EQ(source->tensors().size(), tensors.size());
  for (const NamedTensor& t : tensors) {
    EXPECT_TRUE(same_bits(source->get(t.name, test_device()), t.tensor)) << t.name;
  }
}

TEST(Sharded, ASmallModelIsOneFileWithoutIndex) {
  const TempDir dir;
  write_sharded(dir.path() / "new/model", model(1));
  EXPECT_TRUE(fs::exists(dir.path() / "new/model/model.safetensors"));
  EXPECT_FALSE(fs::exists(dir.path() / "new/model/model.safetensors.index.json"));
  expect_holds(dir.path() / "new/model", model(1));
}

TEST(Sharded, ALargeModelIsSplitAtTensorsWithAnIndex) {
  const TempDir dir;
  write_sharded(dir.path(), model(1), 1200);
  // a and b fill the first shard to the last byte; d is larger than a shard.
  EXPECT_EQ(SafetensorsFile(dir.path() / "model-00001-of-00003.safetensors").tensors().size(), 2u);
  EXPECT_EQ(SafetensorsFile(dir.path() / "model-00002-of-00003.safetensors").tensors().size(), 1u);
  EXPECT_EQ(SafetensorsFile(dir.path() / "model-00003-of-00003.safetensors").tensors().size(), 1u);
  const Json index = parse_json(read_file(dir.path() / kSafetensorsIndexName), "index");
  EXPECT_EQ(index["metadata"]["total_size"], 400 + 800 + 40 + 2000);
  EXPECT_EQ(index["weight_map"]["c"], "model-00002-of-00003.safetensors");
  expect_holds(dir.path(), model(1));
}

TEST(Sharded, ANewModelReplacesTheOldOneWhateverTheirShards) {
  const TempDir dir;
  uint64_t seed = 0;
  // Every change between one file, two shards and three shards.
  for (const int64_t max : {9999, 1300, 9999, 1200, 1300, 1200, 1200, 9999}) {
    write_sharded(dir.path(), model(++seed), max);
    expect_holds(dir.path(), model(seed));
  }
}

TEST(Sharded, StoppedHalfWayTheOldModelStaysOrNoneIsThere) {
  const TempDir dir;
  const auto start = [&](int64_t max_shard_bytes) {
    ShardedSafetensorsWriter writer(dir.path(), max_shard_bytes);
    for (const NamedTensor& t : model(9)) writer.declare(t.name, DType::kF32, t.tensor.shape());
    for (const NamedTensor& t : model(9)) {
      if (t.name != "d") writer.write(t.name, t.tensor);
    }
  };
  start(1200);
  EXPECT_FALSE(has_files(dir.path()));

  write_sharded(dir.path(), model(1));
  start(1200);
  expect_holds(dir.path(), model(1));
  start(9999);
  expect_holds(dir.path(), model(1));

  write_sharded(dir.path(), model(1), 1300);
  start(1200);
  expect_holds(dir.path(), model(1));
  start(1300);  // the same shard names: never a mixture of both
  message_of<IoError>(dir.path().string(), [&] { open_sharded(dir.path()); });
}

TEST(Sharded, MissingDataIsNamedAtTheEnd) {
  const TempDir dir;
  ShardedSafetensorsWriter writer(dir.path(), 1200);
  for (const NamedTensor& t : model(1)) writer.declare(t.name, DType::kF32, t.tensor.shape());
  EXPECT_THROW(writer.declare("a", DType::kF32, {1}), Error);
  writer.write("a", model(1)[0].tensor);
  EXPECT_THAT(message_of(dir.path().string(), [&] { writer.finish(); }), HasSubstr("'b'"));
  EXPECT_THROW(writer.declare("e", DType::kF32, {1}), Error);
  writer.write("b", model(1)[1].tensor);
  EXPECT_THAT(message_of(dir.path().string(), [&] { writer.finish(); }), HasSubstr("'c'"));
}

TEST(Sharded, AnEmptyFolderIsExplained) {
  const TempDir dir;
  EXPECT_THAT(message_of<IoError>(dir.path().string(), [&] { open_sharded(dir.path()); }),
              HasSubstr("model.safetensors.index.json"));
  message_of<IoError>("nowhere", [&] { open_sharded(dir.path() / "nowhere"); });
}

TEST(Sharded, AMissingShardIsNamed) {
  const TempDir dir;
  write_sharded(dir.path(), model(1), 1200);
  fs::remove(dir.path() / "model-00002-of-00003.safetensors");
  EXPECT_THAT(
      message_of<IoError>("model-00002-of-00003.safetensors", [&] { open_sharded(dir.path()); }),
      HasSubstr("missing"));
}

TEST(Sharded, ATensorInTwoShardsIsRefused) {
  const TempDir dir;
  write_sharded(dir.path(), model(1), 1200);
  write_safetensors(dir.path() / "model-00003-of-00003.safetensors",
                    {{"d", randn({500}, 1)}, {"a", randn({10, 10}, 1)}});
  const std::string message = message_of<CorruptFile>("model-00003-of-00003.safetensors",
                                                      [&] { open_sharded(dir.path()); });
  EXPECT_THAT(message, HasSubstr("'a'"));
  EXPECT_THAT(message, HasSubstr("model-00001-of-00003.safetensors"));
}

TEST(Sharded, AnIndexMustTellTheTruth) {
  const TempDir dir;
  write_sharded(dir.path(), model(1), 1200);
  const auto index = dir.path() / kSafetensorsIndexName;
  const Json good = parse_json(read_file(index), "index");
  const auto with = [&](const Json& change) {
    Json json = good;
    json.merge_patch(change);
    write_plain(index, json.dump());
    return message_of<CorruptFile>(index.string(), [&] { open_sharded(dir.path()); });
  };
  const std::string first = "model-00001-of-00003.safetensors";
  EXPECT_THAT(with({{"weight_map", {{"ghost", first}}}}), HasSubstr("'ghost'"));
  EXPECT_THAT(with({{"weight_map", {{"d", first}}}}), HasSubstr("'d'"));
  EXPECT_THAT(with({{"weight_map", nullptr}}), HasSubstr("weight_map"));
  EXPECT_THAT(with({{"weight_map", 3}}), HasSubstr("weight_map"));
  EXPECT_THAT(with({{"weight_map", {{"a", 3}}}}), HasSubstr("'a'"));
  for (const char* path :
       {"../model.safetensors", "/etc/passwd", "..", ".", "", "sub/x", "a\nb/c"}) {
    EXPECT_THAT(with({{"weight_map", {{"a", path}}}}), HasSubstr("not the name of a shard"))
        << path;
  }
  for (const char* text : {"", "[]", "{", "null", "{\"weight_map\":{\"a\":\"\xff\"}}"}) {
    write_plain(index, text);
    message_of<CorruptFile>(index.string(), [&] { open_sharded(dir.path()); });
  }
}

// Opens and reads the folder, which gives tensors or one line that names it.
bool is_refused(const fs::path& folder) {
  try {
    read_all(*open_sharded(folder), test_device());
    return false;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(folder.string()));
    return true;
  }
}

TEST(Sharded, AnIndexDamagedAnywhereGivesAnErrorOrTheModel) {
  const TempDir dir;
  write_sharded(dir.path(), model(1), 1200);
  const auto index = dir.path() / kSafetensorsIndexName;
  const std::string good = read_file(index);
  const size_t end = good.find_last_of('}');
  for (size_t size = 0; size <= end; ++size) {
    write_plain(index, good.substr(0, size));
    EXPECT_TRUE(is_refused(dir.path())) << size;
  }
  int refused = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    write_plain(index, bad);
    refused += is_refused(dir.path());
  }
  EXPECT_GT(refused, 100);
}

TEST(Sharded, AShardCutAnywhereIsNamed) {
  const TempDir dir;
  write_sharded(dir.path(), model(1), 1200);
  const auto shard = dir.path() / "model-00002-of-00003.safetensors";
  const std::string good = read_file(shard);
  for (size_t size = 0; size < good.size(); ++size) {
    write_plain(shard, good.substr(0, size));
    message_of<CorruptFile>(shard.string(), [&] { open_sharded(dir.path()); });
  }
}

}  // namespace
}  // namespace corral::io
