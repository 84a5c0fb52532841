#include "ops/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "autograd/tape.h"
#include "ops/cross_entropy/cross_entropy_kernel.h"
#include "ops/linear/linear_products.h"

namespace corral::ops {
namespace {

constexpr const char* kName = "cross_entropy";
constexpr int64_t kSliceRows = 256;
constexpr int64_t kSliceLogits = int64_t{1} << 20;
constexpr int64_t kLeastRows = 32;  // fewer would leave the matrix product without reuse
constexpr int64_t kGrainRows = 2;

void check(const Tensor& hidden_TD, const quant::LinearWeight& readout_VD,
           std::span<const int32_t> targets, double denominator, float z_loss) {
  if (hidden_TD.rank() != 2 || hidden_TD.dim(0) != static_cast<int64_t>(targets.size())) {
    throw ShapeError(
        str(kName, ": hidden is ", hidden_TD.shape(), ", needs [", targets.size(), ", D]"));
  }
  check_linear(kName, hidden_TD, readout_VD);
  if (readout_VD.count != 1) {
    throw ShapeError(str(kName, ": the readout is a stack of ", readout_VD.count, " matrices"));
  }
  for (size_t t = 0; t < targets.size(); ++t) {
    if (targets[t] == kIgnoredTarget) continue;
    if (targets[t] < 0 || targets[t] >= readout_VD.out_features) {
      throw Error(str(kName, ": row ", t, " has target ", targets[t],
                      ", needs -100 or an id below ", readout_VD.out_features));
    }
  }
  if (!(denominator > 0) || !std::isfinite(denominator)) {
    throw Error(str(kName, ": denominator ", denominator, ", needs a positive number"));
  }
  if (!(z_loss >= 0) || !std::isfinite(z_loss)) {
    throw Error(str(kName, ": z-loss ", z_loss, ", needs a number of at least 0"));
  }
}

std::vector<int32_t> supervised_rows(std::span<const int32_t> targets) {
  std::vector<int32_t> rows;
  rows.reserve(targets.size());
  for (size_t t = 0; t < targets.size(); ++t) {
    if (targets[t] != kIgnoredTarget) rows.push_back(static_cast<int32_t>(t));
  }
  return rows;
}

/// One walk over the supervised rows, slice by slice.
class Walk {
 public:
  Walk(const Tensor& hidden_TD, const quant::LinearWeight& readout_VD,
       std::span<const int32_t> targets, quant::Precision precision)
      : hidden_TD_(hidden_TD),
        readout_VD_(readout_VD),
        targets_(targets),
        precision_(precision),
        rows_(supervised_rows(targets)),
        kernel_(simd::choose(hidden_TD.device()->isa(), portable::kCrossEntropy,
                             avx2::kCrossEntropy, avx512::kCrossEntropy)) {}

  /// Gradients to compute on the way; dhidden is zero, both may be undefined.
  Tensor dhidden_TD;
  Tensor dreadout;
  float scale = 0;
  float z_loss = 0;

  std::vector<float> nll_T;
  double nll_sum = 0;
  double z_squared_sum = 0;

  void run() {
    nll_T.assign(targets_.size(), 0.0f);
    const auto N = static_cast<int64_t>(rows_.size());
    const int64_t V = readout_VD_.out_features;
    const int64_t D = readout_VD_.in_features;
    const int64_t R =
        std::min(N, std::clamp(kSliceLogits / std::max<int64_t>(V, 1), kLeastRows, kSliceRows));
    const DevicePtr& device = hidden_TD_.device();
    x_RD_ = Tensor({R, D}, DType::kF32, device);
    logits_RV_ = Tensor({R, V}, DType::kF32, device);
    if (dhidden_TD.defined()) dx_RD_ = Tensor({R, D}, DType::kF32, device);
    losses_.resize(static_cast<size_t>(R));
    for (int64_t first = 0; first < N; first += R) slice(first, std::min(R, N - first));
  }

  int64_t supervised() const { return static_cast<int64_t>(rows_.size()); }

 private:
  bool with_gradient() const { return dhidden_TD.defined() || dreadout.defined(); }

  void slice(int64_t first, int64_t count) {
    Device& device = *hidden_TD_.device();
    const RowRange all = {0, count};
    copy_rows(first, count, hidden_TD_, x_RD_, true);
    matmul(device,
           {{forward_product(x_RD_, readout_VD_, logits_RV_.mutable_data<float>(), 0, all)}},
           precision_);
    row_losses(first, count);
    if (dhidden_TD.defined()) {
      matmul(device, {{input_gradient_product(kName, logits_RV_, readout_VD_, dx_RD_, 0, all)}},
             precision_);
      copy_rows(first, count, dx_RD_, dhidden_TD, false);
    }
    if (dreadout.defined()) {
      matmul(device,
             {{weight_gradient_product(kName, logits_RV_, x_RD_, readout_VD_, dreadout, 0, all)}},
             precision_);
    }
  }

  /// Between rows rows_[first ...] of a [T, D] tensor and the first rows of a slice.
  void copy_rows(int64_t first, int64_t count, const Tensor& from, Tensor& to, bool gather) {
    const int64_t D = from.dim(1);
    const float* source = from.data<float>();
    float* target = to.mutable_data<float>();
    for (int64_t i = 0; i < count; ++i) {
      const int64_t t = rows_[static_cast<size_t>(first + i)];
      std::copy_n(source + (gather ? t : i) * D, D, target + (gather ? i : t) * D);
    }
  }

  /// Losses of the slice; the logits become their gradient if one is wanted.
  void row_losses(int64_t first, int64_t count) {
    const int64_t V = readout_VD_.out_features;
    float* logits = logits_RV_.mutable_data<float>();
    const auto target_of = [&](int64_t i) {
      return targets_[static_cast<size_t>(rows_[static_cast<size_t>(first + i)])];
    };
    hidden_TD_.device()->threads().parallel_for(count, kGrainRows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* row = logits + i * V;
        losses_[static_cast<size_t>(i)] =
            with_gradient() ? kernel_.gradient(row, V, target_of(i), scale, z_loss)
                            : kernel_.forward(row, V, target_of(i));
      }
    });
    for (int64_t i = 0; i < count; ++i) {
      const RowLoss& loss = losses_[static_cast<size_t>(i)];
      nll_T[static_cast<size_t>(rows_[static_cast<size_t>(first + i)])] = loss.nll;
      nll_sum += static_cast<double>(loss.nll);
      z_squared_sum += static_cast<double>(loss.log_sum) * static_cast<double>(loss.log_sum);
    }
  }

  const Tensor& hidden_TD_;
  const quant::LinearWeight& readout_VD_;
  std::span<const int32_t> targets_;
  quant::Precision precision_;
  std::vector<int32_t> rows_;
  const CrossEntropyKernel& kernel_;
  Tensor x_RD_;
  Tensor logits_RV_;
  Tensor dx_RD_;
  std::vector<RowLoss> losses_;
};

/// g times the upstream gradient of the loss; g itself when that is 1, as in a training step.
Tensor scaled(const Tensor& g, float upstream) {
  if (upstream == 1.0f) return g;
  Tensor y = empty_like(g);
  const float* from = g.data<float>();
  float* to = y.mutable_data<float>();
  g.device()->threads().parallel_for(g.numel(), 1 << 14, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = from[i] * upstream;
  });
  return y;
}

}  // namespace

CrossEntropy cross_entropy(const Tensor& hidden_TD, const quant::LinearWeight& readout_VD,
                           std::span<const int32_t> targets, double denominator,
                           quant::Precision precision, float z_loss) {
  check(hidden_TD, readout_VD, targets, denominator, z_loss);
  Walk walk(hidden_TD, readout_VD, targets, precision);
  walk.scale = static_cast<float>(1.0 / denominator);
  walk.z_loss = z_loss;
  const DevicePtr& device = hidden_TD.device();
  if (autograd::recording({hidden_TD})) {
    walk.dhidden_TD = Tensor::zeros(hidden_TD.shape(), DType::kF32, device);
  }
  if (autograd::recording({readout_VD.data})) {
    walk.dreadout = Tensor::zeros(readout_VD.data.shape(), DType::kF32, device);
  }
  walk.run();

  CrossEntropy result;
  result.nll_T = std::move(walk.nll_T);
  result.nll_sum = walk.nll_sum;
  result.z_loss = static_cast<double>(z_loss) * walk.z_squared_sum / denominator;
  result.supervised = walk.supervised();
  const auto loss = static_cast<float>(walk.nll_sum / denominator + result.z_loss);
  auto backward = [dhidden = walk.dhidden_TD, dreadout = walk.dreadout](
                      const Tensor& dy, autograd::GradientSink& sink) {
    const float upstream = dy.data<float>()[0];
    if (dhidden.defined()) sink.add(0, scaled(dhidden, upstream));
    if (dreadout.defined()) sink.add(1, scaled(dreadout, upstream));
  };
  result.loss =
      autograd::record(kName, {hidden_TD, readout_VD.data},
                       Tensor::from(std::span(&loss, 1), {1}, device), std::move(backward));
  return result;
}

std::vector<float> token_nll(const Tensor& hidden_TD, const quant::LinearWeight& readout_VD,
                             std::span<const int32_t> targets, quant::Precision precision) {
  check(hidden_TD, readout_VD, targets, 1, 0);
  Walk walk(hidden_TD, readout_VD, targets, precision);
  walk.run();
  return std::move(walk.nll_T);
}

}  // namespace corral::ops
