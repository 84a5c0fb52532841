#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kv/kv_types.h"
#include "model/config.h"
#include "quant/linear_weight.h"
#include "tensor/tensor.h"

// Shape letters: V vocabulary, D hidden_size, H query heads, K key-value heads, C head_dim, E
// experts, F width of an expert or MLP.

namespace corral::model {

struct AttentionWeights {
  quant::LinearWeight q;  // [H C, D]
  quant::LinearWeight k;  // [K C, D]
  quant::LinearWeight v;  // [K C, D]
  quant::LinearWeight o;  // [D, H C]
};

/// A gated MLP: down(silu(gate x) * up x). For routed experts each is a stack of E matrices.
struct MlpWeights {
  quant::LinearWeight gate;  // [F, D]
  quant::LinearWeight up;    // [F, D]
  quant::LinearWeight down;  // [D, F]
};

struct MoeWeights {
  quant::LinearWeight router;  // [E, D]
  MlpWeights experts;
  MlpWeights shared;
};

struct LayerWeights {
  Tensor attention_norm;  // [D] f32
  AttentionWeights attention;
  Tensor mlp_norm;                  // [D] f32
  std::optional<MlpWeights> dense;  // exactly one of the two
  std::optional<MoeWeights> moe;
};

/// Everything that the text model multiplies with, wherever it lies.
struct TextWeights {
  Tensor embedding;  // [V, D]
  std::vector<LayerWeights> layers;
  Tensor final_norm;            // [D] f32
  quant::LinearWeight readout;  // [V, D]
  /// Divisors of the RoPE frequencies, [head_dim / 2] f32, when a GGUF file carries them; else the
  /// config's rope_scaling says it.
  Tensor rope_divisors;
};

/// What a parameter does, which decides how it is initialised and decayed.
enum class Role {
  kEmbedding,
  kNorm,
  kBias,  // of the image tower: the text model has none
  kAttentionIn,
  kAttentionOut,
  kRouter,
  kMlpIn,
  kMlpOut,
  kReadout
};

/// A parameter in the form of Hugging Face's checkpoints.
struct ParameterInfo {
  std::string name;  // with the prefix of the config's layout
  Shape shape;
  Role role;
  int64_t layer;  // -1 outside the layers
};

/// The parameters of a text model in checkpoint order: the one list that loading, saving,
/// initialising and counting walk.
std::vector<ParameterInfo> parameter_list(const Config& config);

/// Where arrange_weights() gets the parameters of a checkpoint from. Files that keep a parameter in
/// another form than parameter_list() says (quantized, routed experts apart) override more than
/// tensor().
class ParameterReader {
 public:
  virtual ~ParameterReader() = default;

  /// The tensor of that name in any float dtype; arrange_weights() checks its shape.
  virtual Tensor tensor(const ParameterInfo& info) = 0;
  /// The matrix [out, in] of that name; by default from the tensor.
  virtual quant::LinearWeight linear(const ParameterInfo& info);
  /// The routed experts; by default gate and up from gate_up_proj [E, D, 2F], of which gate is the
  /// first F columns, and down_proj [E, F, D].
  virtual MlpWeights experts(const ParameterInfo& gate_up, const ParameterInfo& down);

 protected:
  /// tensor(info); throws CorruptFile naming the parameter when the shape is another.
  Tensor checked(const ParameterInfo& info);
  friend class ParameterCursor;
};

/// Arranges Hugging Face tensors as TextWeights. Throws CorruptFile naming a tensor whose shape is
/// not the config's. Norms are widened to f32.
TextWeights arrange_weights(const Config& config, ParameterReader& reader);
/// The same from a function that returns the tensor of a parameter.
TextWeights arrange_weights(const Config& config,
                            const std::function<Tensor(const ParameterInfo&)>& get);

/// Parameters, counted from the list.
struct ParameterCount {
  int64_t total = 0;
  /// What one token uses: everything but the experts that were not chosen.
  int64_t active = 0;
};
ParameterCount count_parameters(const Config& config);

/// Bytes of keys and values that a sequence of `tokens` holds: global layers keep all, chunked ones
/// at most one chunk.
int64_t kv_cache_bytes(const Config& config, int64_t tokens, kv::KvTypes types);

}  // namespace corral::model
