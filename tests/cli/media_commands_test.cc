// `corral debug tiles`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/run_corral.h"
#include "io/safetensors.h"
#include "support/paths.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::cli {
namespace {

TEST(DebugTiles, WritesTilesAndSaysHowTheyLie) {
  const test::TempDir folder;
  const std::string out = folder.path() / "tiles.safetensors";
  const Result run = corral({"debug", "tiles", "--out", out, "--size", "112", "--max-tiles", "4",
                             test::data_dir() / "preprocess/dog_300x170.png"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(nlohmann::json::parse(run.out),
            nlohmann::json::parse(
                R"({"canvas": [224, 224], "resized": [126, 224], "grid": [2, 2], "tiles": 5})"));
  const Tensor tiles = io::SafetensorsFile(out).get("tiles", test::test_device());
  EXPECT_EQ(tiles.shape(), (Shape{5, 3, 112, 112}));
}

TEST(DebugTiles, NamesTheFileThatIsNoPicture) {
  const test::TempDir folder;
  const Result run = corral({"debug", "tiles", "--out", folder.path() / "tiles.safetensors",
                             test::data_dir() / "preprocess/modes.json"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, testing::HasSubstr("modes.json: not a picture that can be read"));
  EXPECT_THAT(std::filesystem::directory_iterator(folder.path()),
              std::filesystem::directory_iterator());
}

}  // namespace
}  // namespace corral::cli
