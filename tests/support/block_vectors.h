#pragma once

#include <cstddef>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "support/paths.h"
#include "tensor/dtype.h"

namespace corral::test {

/// Blocks of a type and the values they stand for, computed from the format's definition by
/// tools/make_block_vectors.py.
struct BlockVector {
  DType dtype;
  std::vector<std::byte> blocks;
  std::vector<float> values;
};

inline std::vector<std::byte> from_hex(const std::string& digits) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

inline std::vector<BlockVector> block_vectors() {
  std::ifstream file(data_dir() / "quant/blocks.txt");
  std::vector<BlockVector> all;
  std::string name;
  std::string blocks;
  std::string values;
  while (file >> name >> blocks >> values) {
    const std::vector<std::byte> bytes = from_hex(values);
    std::vector<float> floats(bytes.size() / sizeof(float));
    std::memcpy(floats.data(), bytes.data(), bytes.size());
    all.push_back({parse_dtype(name), from_hex(blocks), floats});
  }
  return all;
}

}  // namespace corral::test
