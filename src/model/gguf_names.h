#pragma once

#include <string>
#include <vector>

#include "model/weights.h"
#include "tensor/shape.h"

namespace corral::model {

/// A parameter, or a half of one, in the form of llama.cpp's `llama4` architecture.
struct GgufTensor {
  std::string name;
  Shape shape;
};

/// What a GGUF file has for a parameter of parameter_list(): one tensor, for the fused gate_up_proj
/// two, gate and up. Stacks of experts are [E, out, in]. Throws Error for a name that the list does
/// not have.
std::vector<GgufTensor> gguf_form(const ParameterInfo& info);

}  // namespace corral::model
