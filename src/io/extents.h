#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/weight_source.h"

namespace corral::io {

/// The shape with these axes (outermost first), of which none is trusted: throws CorruptFile naming
/// the file (`what`) and the tensor when the product of the axes that are not zero exceeds int64,
/// NotSupported when there are more than Shape holds.
Shape checked_shape(std::span<const uint64_t> dims, const std::string& what,
                    std::string_view tensor);

/// Throws CorruptFile naming the file and both tensors when data of two tensors overlaps.
void check_no_overlap(const std::vector<TensorInfo>& tensors, const std::string& what);

}  // namespace corral::io
