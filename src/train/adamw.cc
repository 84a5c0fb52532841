#include "train/adamw.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "autograd/tape.h"
#include "base/error.h"
#include "simd/isa.h"
#include "train/adamw_kernel.h"

namespace corral::train {
namespace {

constexpr int64_t kGrain = 16384;

AdamwKernel kernel_of(simd::Isa isa) {
  return simd::choose(isa, portable::kAdamw, avx2::kAdamw, avx512::kAdamw);
}

void copy_moments(const std::vector<Tensor>& from, std::vector<Tensor>& to, const char* which) {
  if (from.size() != to.size()) {
    throw ShapeError(str("optimizer: ", from.size(), " ", which, " for ", to.size(), " tensors"));
  }
  for (size_t i = 0; i < to.size(); ++i) {
    if (!(from[i].shape() == to[i].shape())) {
      throw ShapeError(
          str("optimizer: ", which, " ", i, " is ", from[i].shape(), ", needs ", to[i].shape()));
    }
    std::memcpy(to[i].mutable_data<float>(), from[i].data<float>(),
                static_cast<size_t>(to[i].size_bytes()));
  }
}

}  // namespace

Adamw::Adamw(std::vector<OptimizedTensor> tensors, const AdamwOptions& options)
    : tensors_(std::move(tensors)), options_(options) {
  const auto in_unit = [](double x) { return x >= 0 && x < 1; };
  if (!in_unit(options.beta1) || !in_unit(options.beta2) || !(options.epsilon > 0) ||
      !(options.weight_decay >= 0)) {
    throw UsageError(str("adamw: betas ", options.beta1, ", ", options.beta2, ", epsilon ",
                         options.epsilon, ", weight decay ", options.weight_decay,
                         ": needs betas in [0, 1), epsilon > 0, weight decay >= 0"));
  }
  for (const OptimizedTensor& tensor : tensors_) {
    if (tensor.value.dtype() != DType::kF32 || !tensor.value.storage()->writable()) {
      throw NotSupported(str("adamw: ", tensor.name, " is not f32 in memory of its own"));
    }
    m_.push_back(Tensor::zeros(tensor.value.shape(), DType::kF32, tensor.value.device()));
    v_.push_back(Tensor::zeros(tensor.value.shape(), DType::kF32, tensor.value.device()));
  }
}

void Adamw::step(double learning_rate, double gradient_scale) {
  ++steps_;
  const auto t = static_cast<double>(steps_);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    OptimizedTensor& tensor = tensors_[i];
    const double rate = learning_rate * tensor.rate_scale;
    AdamwStep step{};
    step.gradient_scale = static_cast<float>(gradient_scale);
    step.keep = tensor.decay ? static_cast<float>(1 - rate * options_.weight_decay) : 1.0f;
    step.beta1 = static_cast<float>(options_.beta1);
    step.one_minus_beta1 = static_cast<float>(1 - options_.beta1);
    step.beta2 = static_cast<float>(options_.beta2);
    step.one_minus_beta2 = static_cast<float>(1 - options_.beta2);
    step.step_size = static_cast<float>(rate / (1 - std::pow(options_.beta1, t)));
    step.inverse_root_of_bias = static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, t)));
    step.epsilon = static_cast<float>(options_.epsilon);

    Tensor gradient = autograd::gradient(tensor.value);
    if (!gradient.defined()) {
      gradient = Tensor::zeros(tensor.value.shape(), DType::kF32, tensor.value.device());
    }
    Device& device = *tensor.value.device();
    const AdamwKernel kernel = kernel_of(device.isa());
    auto* p = tensor.value.mutable_data<float>();
    auto* m = m_[i].mutable_data<float>();
    auto* v = v_[i].mutable_data<float>();
    const auto* g = gradient.data<float>();
    device.threads().parallel_for(tensor.value.numel(), kGrain, [&](int64_t begin, int64_t end) {
      kernel(step, p + begin, m + begin, v + begin, g + begin, end - begin);
    });
  }
}

void Adamw::restore(int64_t steps, const std::vector<Tensor>& first,
                    const std::vector<Tensor>& second) {
  copy_moments(first, m_, "first moments");
  copy_moments(second, v_, "second moments");
  steps_ = steps;
}

}  // namespace corral::train
