#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "tensor/shape.h"

namespace corral::model {

/// How a tensor of Hugging Face's form lies in the parts of a native checkpoint. A part's tensor is
/// read as `groups` matrices below one another.
struct MetaTensor {
  enum class Split : uint8_t { kNone, kRows, kColumns };

  std::string name;    // in Hugging Face's form
  std::string native;  // in the parts
  Shape shape;         // in Hugging Face's form
  Split split = Split::kNone;
  int64_t groups = 1;
  int64_t rows = 0;  // of one group of the whole tensor, and its columns
  int64_t columns = 0;
  /// Rows of the whole native tensor before and behind these, when several tensors share it (q, k
  /// and v; gate and up). Each part holds its share of all of them.
  int64_t rows_before = 0;
  int64_t rows_behind = 0;
  bool transposed = false;  // the file holds [columns, rows]
};

/// The whole model: the one table of names and of how they are cut. The image tower's tensors are
/// listed when the config has one (config.multimodal_json). Source: the load hooks of Meta's
/// reference and its resharder (README of the goldens). Throws CorruptFile for an image tower
/// whose sizes make no sense.
std::vector<MetaTensor> meta_tensors(const Config& config);

}  // namespace corral::model
