#pragma once

#include <cstdint>

namespace corral {

/// Memory that Linux can give without swapping (MemAvailable, proc(5)); 0 when it does not say.
int64_t available_memory_bytes();

}  // namespace corral
