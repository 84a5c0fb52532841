#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "media/image.h"
#include "support/paths.h"
#include "support/tensors.h"
#include "text/sha256.h"

namespace corral::media {

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw IoError(path.string() + ": cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline Image decode(const std::string& file, Orientation orientation = Orientation::kIgnore) {
  return decode_image(as_bytes(file), "picture", {}, orientation);
}

inline std::filesystem::path golden(const std::string& file) {
  return test::data_dir() / "preprocess" / file;
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  return nlohmann::json::parse(read_bytes(path));
}

inline std::string sha256_of(const std::vector<uint8_t>& bytes) {
  return test::sha256({bytes.begin(), bytes.end()});
}

/// A tensor of a safetensors file that is trusted: its shape and bytes.
struct GoldenTensor {
  std::vector<int64_t> shape;
  std::string bytes;
};

inline std::map<std::string, GoldenTensor> read_golden_tensors(const std::filesystem::path& path) {
  const std::string file = read_bytes(path);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  std::map<std::string, GoldenTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const auto begin = entry["data_offsets"][0].get<size_t>();
    const auto end = entry["data_offsets"][1].get<size_t>();
    tensors[name] = {entry["shape"], file.substr(8 + header_bytes + begin, end - begin)};
  }
  return tensors;
}

/// The message of the Error that `body` must throw; it must be one line and name the picture.
template <class E, class Body>
std::string message_of(const Body& body) {
  try {
    body();
  } catch (const E& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), message.npos) << message;
    EXPECT_THAT(message, testing::StartsWith("picture: "));
    return message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no error";
  return {};
}

}  // namespace corral::media
