#pragma once

#include <cstdint>
#include <functional>

#include "base/available_memory.h"
#include "model/loaded_model.h"

namespace corral::model {

/// Copies the text model's weights from the mapped files into memory of the process, in large pages
/// where the system has them, and gives back what the mapping took of memory meanwhile. Rows come
/// to lie interleaved (quant/interleaved.h) where products with them are faster then. Reading them
/// is faster then, since a page of a file is 4 KiB: the processor looks up an address for every
/// one, and begins to read ahead anew. on_copied is told the bytes copied so far. Throws Error,
/// before it begins, when they are more than `available` bytes; 0: nobody knows.
void make_resident(LoadedModel& loaded, const std::function<void(int64_t bytes)>& on_copied = {},
                   int64_t available = available_memory_bytes());

/// Bytes that make_resident() copies.
int64_t resident_bytes(const TextWeights& weights);

/// Whether so much memory is `available` that make_resident() copies them.
bool fits_in_memory(const TextWeights& weights, int64_t available = available_memory_bytes());

}  // namespace corral::model
