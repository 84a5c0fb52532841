#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "io/weight_source.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::io {

/// Bytes of a file put together by hand.
class Bytes {
 public:
  Bytes& u32(uint32_t value) { return add(&value, sizeof(value)); }
  Bytes& u64(uint64_t value) { return add(&value, sizeof(value)); }
  Bytes& raw(std::string_view text) { return add(text.data(), text.size()); }
  /// GGUF's strings: a length and the characters.
  Bytes& string(std::string_view text) { return u64(text.size()).raw(text); }
  Bytes& pad(size_t alignment) {
    text_.resize((text_.size() + alignment - 1) / alignment * alignment, '\0');
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  Bytes& add(const void* data, size_t size_bytes) {
    text_.append(static_cast<const char*>(data), size_bytes);
    return *this;
  }
  std::string text_;
};

inline void write_plain(const std::filesystem::path& path, std::string_view text) {
  // Some file systems flush a file that is cut to nothing and written again.
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary)
      .write(text.data(), static_cast<std::streamsize>(text.size()));
}

/// Runs `body`, which must throw an Error, and returns its message; the message must be one line
/// and name the file.
template <class E = Error, class Body>
std::string message_of(const std::string& file, const Body& body) {
  try {
    body();
  } catch (const E& error) {
    std::string message = error.what();
    EXPECT_THAT(message, testing::HasSubstr(file));
    EXPECT_EQ(message.find('\n'), message.npos) << message;
    return message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no error";
  return {};
}

/// Reads every tensor that can be read, every byte of it; returns a checksum so that nothing is
/// optimised away.
inline uint64_t read_all(const WeightSource& source, const DevicePtr& device) {
  uint64_t sum = 0;
  for (const TensorInfo& info : source.tensors()) {
    if (!info.dtype) continue;
    const Tensor tensor = source.get(info.name, device);
    EXPECT_EQ(tensor.shape(), info.shape);
    const auto* bytes = tensor.data<std::byte>();
    for (int64_t i = 0; i < tensor.size_bytes(); ++i) sum += static_cast<uint64_t>(bytes[i]);
  }
  return sum;
}

inline bool has_files(const std::filesystem::path& folder) {
  return std::filesystem::directory_iterator(folder) != std::filesystem::directory_iterator();
}

}  // namespace corral::io
