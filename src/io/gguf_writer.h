#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/streamed_file.h"
#include "io/gguf_metadata.h"
#include "io/tensor_stream.h"
#include "tensor/tensor.h"

namespace corral::io {

/// Writes a GGUF file, version 3, piece by piece: declare all tensors, write their data in the same
/// order, finish. Data is converted to the declared type (f32, f16, bf16, q8_0; i32 and i64 as they
/// are) in parallel on its device, in bounded memory. The file appears under its name with
/// finish(); destroyed before, it leaves nothing.
class GgufWriter {
 public:
  /// Throws IoError when the file cannot be created.
  GgufWriter(std::filesystem::path path, GgufMetadata metadata);

  /// shape is ours, outermost axis first. Names have at most 63 bytes, or llama.cpp refuses the
  /// file. Throws Error otherwise, NotSupported for types that ggml lacks, else as
  /// TensorStream::declare().
  void declare(std::string_view name, DType dtype, const Shape& shape);
  /// The next tensor whole, or its next rows (of the first axis, so one expert at a time of a
  /// stack); see TensorStream::append().
  void write(std::string_view name, const Tensor& part, std::span<const float> importance = {});
  /// Throws Error when data is missing, IoError when the disk is full.
  void finish();

 private:
  void write_header();
  void pad();

  std::filesystem::path path_;
  GgufMetadata metadata_;
  TensorStream stream_;
  StreamedFile file_;
  bool header_written_ = false;
};

}  // namespace corral::io
