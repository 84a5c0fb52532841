#pragma once

#include <string>
#include <vector>

#include "io/safetensors_writer.h"
#include "model/config.h"
#include "model/export.h"
#include "model/quantize.h"

namespace corral::model {

/// Writes the experts of a list of hf_tensors() as codes, matrix by matrix, in the forms of
/// compressed-tensors that read_coded() reads (docs/formats/safetensors.md).
class CodedExperts {
 public:
  /// Takes the routed and shared experts from the list; coding is not kNone. Throws UsageError when
  /// there are none, NotSupported when rows do not fit the codes.
  CodedExperts(ExpertCoding coding, const std::vector<ExportTensor>& tensors);

  static bool takes(const ExportTensor& tensor);

  void declare(io::ShardedSafetensorsWriter& writer) const;
  int64_t size_bytes() const;
  /// `progress` is told the bytes written here, of those of size_bytes().
  void write(io::ShardedSafetensorsWriter& writer, const ExportProgress& progress) const;

  /// The config.json that says so.
  std::string config_json(const Config& config) const;

 private:
  // A matrix [out, in]: columns [first, first + out) of a stack's part, or a whole tensor.
  struct Matrix {
    std::string name;  // with ".weight"
    const ExportTensor* source;
    int64_t part;
    int64_t first;
    int64_t out;
    int64_t in;
  };
  void add_stack(const ExportTensor& tensor);
  void add(Matrix matrix);
  int64_t groups(const Matrix& matrix) const;
  int64_t size_bytes(const Matrix& matrix) const;
  quant::LinearWeight encode(const Matrix& matrix, const Tensor& part) const;
  void write(io::ShardedSafetensorsWriter& writer, const Matrix& matrix,
             const quant::LinearWeight& codes) const;

  ExpertCoding coding_;
  std::vector<Matrix> matrices_;
};

}  // namespace corral::model
