// Text with images against Meta's reference: tiles in, logits out (goldens/vision-tiny). Tolerances
// are those of the goldens: 5e-5 for the tower, 2e-4 for logits, choices exact.

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "io/safetensors.h"
#include "model/loaded_model.h"
#include "model/recorder.h"
#include "support/paths.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

using test::max_difference;
using test::Recorder;

class VisionModel : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto shared = test::shared_dir();
    if (!shared) GTEST_SKIP() << "../shared/goldens is not here";
    dir = *shared / "goldens/vision-tiny";
    device = Device::cpu();
    loaded.emplace(load_model(dir, device));
    values.emplace(dir / "cases.safetensors");
    json = parse_json(read_file(dir / "cases.json"), "cases.json");
  }

  Tensor value(const std::string& name) const { return values->get(name, device); }

  kv::Batch batch(const std::vector<int32_t>& tokens, const Tensor& vectors) const {
    kv::Batch batch;
    batch.append(tokens, 0);
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] == loaded->vision->config().image_token) {
        batch.vector_rows.push_back(static_cast<int64_t>(i));
      }
    }
    batch.vectors = vectors;
    return batch;
  }

  std::filesystem::path dir;
  DevicePtr device;
  std::optional<LoadedModel> loaded;
  std::optional<io::SafetensorsFile> values;
  Json json;
};

TEST_F(VisionModel, GivesTheReferencesTowerLogitsAndExperts) {
  ASSERT_NE(loaded->vision, nullptr);
  for (const Json& entry : json["cases"]) {
    const std::string name = entry["name"];
    Recorder recorder;
    const Tensor vectors = loaded->vision->encode(value(name + ".tiles"), {.observer = &recorder});
    for (const char* stage : {"encoder", "adapter", "projected"}) {
      EXPECT_LE(max_difference(recorder.activations[stage], value(name + "." + stage)), 5e-5)
          << name << " " << stage;
    }
    const auto tokens = entry["tokens"].get<std::vector<int32_t>>();
    const ForwardOptions options = {.observer = &recorder};
    const Tensor logits =
        loaded->model.logits(loaded->model.hidden(batch(tokens, vectors), options));
    EXPECT_LE(max_difference(logits, value(name + ".logits")), 2e-4) << name;
    const Tensor experts = value(name + ".experts");
    int64_t at = 0;
    for (const auto& [layer, chosen] : recorder.experts) {
      for (const int32_t expert : chosen) {
        EXPECT_EQ(expert, experts.data<int32_t>()[at++]) << name << " layer " << layer;
      }
    }
    EXPECT_EQ(at, experts.numel());
  }
}

}  // namespace
}  // namespace corral::model
