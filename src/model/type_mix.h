#pragma once

#include <string>
#include <string_view>

#include "model/export.h"
#include "tensor/dtype.h"

namespace corral::model {

/// Which type the matrices of a GGUF file get, by what they do.
struct TypeMix {
  std::string name;
  DType routed;   // routed experts: nearly all bytes of the file, few of them read for a token
  DType others;   // attention, shared experts, dense MLPs: read for every token
  DType lookups;  // embedding and readout

  /// The same for all, under the type's name.
  explicit TypeMix(DType dtype);
  /// A type, or the name of a mix: "mix4" is about 4.6 bits a weight (routed experts q4_k, the rest
  /// q6_k). Throws UsageError for what is neither, and for integers.
  static TypeMix parse(std::string_view name);

 private:
  TypeMix() = default;
};

/// The type that a tensor gets: f32 for norms and routers (a router decides by steps and is never
/// rounded), else the mix's type for its role, or where its rows are not whole blocks of that the
/// next wider type whose blocks fit: q2_k, q3_k, iq4_xs -> iq4_nl, q4_k -> q5_0, q5_k -> q5_1,
/// q6_k -> q8_0, and bf16 where nothing fits.
DType stored_dtype(const ExportTensor& tensor, const TypeMix& mix);

/// What stored_dtype() gives when rows fit.
DType wanted_dtype(const ExportTensor& tensor, const TypeMix& mix);

}  // namespace corral::model
