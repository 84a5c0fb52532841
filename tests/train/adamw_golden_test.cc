// AdamW on the whole model against Meta's reference: the parameters after one and three steps on
// the golden batch. The goldens' tolerance: relative L2 of (new - old) per tensor at most 2e-3.

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/tape.h"
#include "base/file.h"
#include "base/json.h"
#include "io/safetensors.h"
#include "model/hf_checkpoint.h"
#include "model/text_model.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "support/paths.h"
#include "train/adamw.h"

namespace corral::train {
namespace {

class AdamwGolden : public ::testing::Test {
 protected:
  std::filesystem::path dir = test::data_dir() / "training";
  DevicePtr device = Device::cpu();
  model::Config config = model::read_hf_config(dir);
  model::TextModel model = model::TextModel::trainable(
      config, model::hf_parameters(*io::open_sharded(dir), config, device));
  Json json = parse_json(read_file(dir / "batch.json"), "batch.json");

  double loss_and_gradients() {
    kv::Batch batch;
    std::vector<int32_t> targets;
    double supervised = 0;
    for (size_t i = 0; i < json["tokens"].size(); ++i) {
      batch.append(json["tokens"][i].get<std::vector<int32_t>>(), 0);
      for (const Json& label : json["labels"][i]) {
        targets.push_back(label.get<int32_t>());
        supervised += targets.back() >= 0 ? 1 : 0;
      }
    }
    const auto result = ops::cross_entropy(model.hidden(batch), model.weights().readout, targets,
                                           supervised, quant::Precision::kF32);
    for (const auto& parameter : model.parameters()) autograd::clear_gradient(parameter.value);
    autograd::backward(result.loss);
    return static_cast<double>(result.loss.data<float>()[0]);
  }

  // Relative L2 error of the update of every tensor against the golden file.
  void expect_updates(const std::string& golden_name) {
    const io::SafetensorsFile before(dir / "model.safetensors");
    const io::SafetensorsFile golden(dir / golden_name);
    for (const auto& parameter : model.parameters()) {
      const Tensor old = before.get(parameter.name, device);
      const Tensor wanted = golden.get(parameter.name, device);
      double error = 0;
      double norm = 0;
      for (int64_t i = 0; i < old.numel(); ++i) {
        const double update = static_cast<double>(wanted.data<float>()[i] - old.data<float>()[i]);
        const double got =
            static_cast<double>(parameter.value.data<float>()[i] - old.data<float>()[i]);
        error += (got - update) * (got - update);
        norm += update * update;
      }
      EXPECT_LE(std::sqrt(error), 2e-3 * std::sqrt(norm)) << parameter.name;
    }
  }
};

TEST_F(AdamwGolden, StepsAreTheReferences) {
  const Json& constants = json["optimizer"];
  std::vector<OptimizedTensor> tensors;
  for (const auto& parameter : model.parameters()) {
    tensors.push_back({parameter.name, parameter.value, parameter.decay});
  }
  Adamw optimizer(tensors, {.beta1 = constants["beta1"].get<double>(),
                            .beta2 = constants["beta2"].get<double>(),
                            .epsilon = constants["eps"].get<double>(),
                            .weight_decay = constants["weight_decay"].get<double>()});
  for (size_t step = 0; step < 3; ++step) {
    EXPECT_NEAR(loss_and_gradients(), json["losses_float64"][step].get<double>(), 2e-4) << step;
    optimizer.step(constants["lr"].get<double>());
    if (step == 0) expect_updates("step1.safetensors");
  }
  expect_updates("step3.safetensors");
  EXPECT_NEAR(loss_and_gradients(), json["losses_float64"][3].get<double>(), 2e-4);
}

}  // namespace
}  // namespace corral::train
