// Loss and gradients of the whole model against Meta's reference: loss within 1e-5, every gradient
// within a relative L2 error of 1e-4 (the reference's float32 noise is 1.7e-6).

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
#include "support/tensors.h"

namespace corral::model {
namespace {

using test::relative_error;

struct Batch {
  kv::Batch batch;
  std::vector<int32_t> targets;
  double supervised = 0;
};

Batch golden_batch(const Json& json) {
  Batch out;
  for (size_t i = 0; i < json["tokens"].size(); ++i) {
    out.batch.append(json["tokens"][i].get<std::vector<int32_t>>(), 0);
    for (const Json& label : json["labels"][i]) {
      out.targets.push_back(label.get<int32_t>());
      out.supervised += out.targets.back() >= 0 ? 1 : 0;
    }
  }
  return out;
}

class Training : public ::testing::Test {
 protected:
  std::filesystem::path dir = test::data_dir() / "training";
  DevicePtr device = Device::cpu();
  Config config = read_hf_config(dir);
  TextModel model =
      TextModel::trainable(config, hf_parameters(*io::open_sharded(dir), config, device));
  Json json = parse_json(read_file(dir / "batch.json"), "batch.json");

  double run(const ForwardOptions& options) {
    const Batch data = golden_batch(json);
    const auto result =
        ops::cross_entropy(model.hidden(data.batch, options), model.weights().readout, data.targets,
                           data.supervised, options.precision);
    autograd::backward(result.loss);
    return static_cast<double>(result.loss.data<float>()[0]);
  }
};

TEST_F(Training, LossAndEveryGradientAreTheReferences) {
  EXPECT_NEAR(run({}), json["losses_float64"][0].get<double>(), 1e-5);
  const io::SafetensorsFile golden(dir / "grads.safetensors");
  EXPECT_EQ(golden.tensors().size(), model.parameters().size());
  for (const NamedParameter& parameter : model.parameters()) {
    const Tensor gradient = autograd::gradient(parameter.value);
    ASSERT_TRUE(gradient.defined()) << parameter.name;
    EXPECT_LE(relative_error(gradient, golden.get(parameter.name, device)), 1e-4) << parameter.name;
  }
}

TEST_F(Training, RecomputationGivesTheSameBits) {
  run({});
  std::vector<Tensor> plain;
  for (const NamedParameter& parameter : model.parameters()) {
    plain.push_back(autograd::gradient(parameter.value).clone());
    autograd::clear_gradient(parameter.value);
  }
  ForwardOptions recompute;
  recompute.recompute = true;
  run(recompute);
  for (size_t i = 0; i < plain.size(); ++i) {
    const Tensor again = autograd::gradient(model.parameters()[i].value);
    EXPECT_EQ(relative_error(again, plain[i]), 0) << model.parameters()[i].name;
  }
}

TEST_F(Training, Bf16ProductsStayCloseToF32) {
  ForwardOptions options;
  options.precision = quant::Precision::kBF16;
  EXPECT_NEAR(run(options), json["losses_float64"][0].get<double>(), 0.05);
}

}  // namespace
}  // namespace corral::model
