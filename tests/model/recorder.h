#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/text_model.h"

namespace corral::test {

/// Keeps what a forward pass shows its observer.
class Recorder : public model::Observer {
 public:
  void activation(const std::string& name, const Tensor& x) override { activations[name] = x; }
  void routed(int64_t layer, const Tensor& logits, const ops::Routing& routing) override {
    router_logits[layer] = logits;
    experts[layer].assign(routing.expert_TK.begin(), routing.expert_TK.end());
  }

  std::map<std::string, Tensor> activations;
  std::map<int64_t, Tensor> router_logits;
  std::map<int64_t, std::vector<int32_t>> experts;
};

}  // namespace corral::test
