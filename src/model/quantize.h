#pragma once

#include <cstdint>
#include <string>

#include "model/config.h"
#include "model/weights.h"

namespace corral::model {

/// How Meta's reference makes a model smaller as it loads it: the matrices of routed and shared
/// experts in int4 (groups of 128) or FP8 (one scale a row), the rest as the files have it.
enum class ExpertCoding : uint8_t { kNone, kInt4, kFp8 };

/// "none", "int4" or "fp8"; throws UsageError for another name.
ExpertCoding parse_expert_coding(const std::string& name);

/// The weights with their experts coded, in memory; float weights only.
TextWeights code_experts(TextWeights weights, ExpertCoding coding);

/// Throws NotSupported when routed or shared experts are codes, which cannot be coded again.
void need_float_experts(const TextWeights& weights);

/// Bytes of all weights when experts are coded so and the rest is bf16 (kNone: all of it).
int64_t coded_bytes(const Config& config, ExpertCoding coding);

}  // namespace corral::model
