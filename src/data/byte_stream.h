#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace corral::data {

/// The bytes of a file from beginning to end, through zstd when its name ends in ".zst" (several
/// frames in a row are one stream). Memory is bounded by the window of the frame, at most 128 MiB.
class ByteStream {
 public:
  /// Throws IoError when the file cannot be opened or is not a regular file.
  explicit ByteStream(const std::filesystem::path& path);
  ~ByteStream();
  ByteStream(ByteStream&&) noexcept;
  ByteStream& operator=(ByteStream&&) noexcept;

  /// Fills `out` from the front and returns how many bytes it got; fewer than asked only at the
  /// end. Throws IoError, and CorruptFile when the compressed data is broken or ends early.
  size_t read(std::span<char> out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace corral::data
