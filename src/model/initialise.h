#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/weights.h"

namespace corral::model {

/// Standard deviation of a parameter's initial values: 1/sqrt(fan-in) for the matrices of a branch,
/// those that end a branch divided by sqrt(2 layers) so that the residual stream does not grow with
/// depth, small values for router and readout (never zero: tied routers would all choose expert 0).
/// Norms are 1 and have none.
double initial_std(const Config& config, const ParameterInfo& info);

/// A parameter's name as the flat layout spells it: what keys its random numbers, so that both
/// layouts start from the same values.
std::string_view plain_name(std::string_view name);

/// Fresh f32 parameters in the order of parameter_list(config). Every value is a pure function of
/// (seed, parameter name, element), whatever the threads or the layout of the checkpoint.
std::vector<Tensor> initialise(const Config& config, uint64_t seed, const DevicePtr& device);

/// The values of one parameter.
Tensor initialise_parameter(const Config& config, const ParameterInfo& info, uint64_t seed,
                            const DevicePtr& device);

}  // namespace corral::model
