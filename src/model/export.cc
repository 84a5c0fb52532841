#include "model/export.h"

#include "base/error.h"
#include "model/attention.h"
#include "model/gguf_names.h"
#include "quant/dense.h"

namespace corral::model {
namespace {

using quant::LinearWeight;

constexpr int64_t kPartElements = int64_t{1} << 24;

bool fills_its_tensor(const LinearWeight& w) {
  return w.coding == quant::Coding::kNone && !w.interleaving && w.offset == 0 &&
         w.count * w.out_features * w.in_features == w.data.numel();
}

// The source's own memory has the matrix in [out, in] order.
bool lies_out_in(const LinearWeight& w) {
  return w.count == 1 && w.stride_in == 1 && fills_its_tensor(w);
}

// Matrix e of a stack as [1, N, K].
Tensor expert_out_in(const LinearWeight& w, int64_t e) {
  if (w.stride_in == 1 && fills_its_tensor(w)) return w.data.rows(e, e + 1).detach();
  return quant::dense_f32(w, e).view({1, w.out_features, w.in_features});
}

// The parts lie side by side in one tensor of three axes, and fill it.
bool lie_side_by_side(const std::vector<const LinearWeight*>& parts) {
  const LinearWeight& first = *parts.front();
  if (first.coding != quant::Coding::kNone) return false;
  int64_t columns = 0;
  for (const LinearWeight* part : parts) {
    if (part->stride_out != 1 || part->data.storage() != first.data.storage()) return false;
    if (part->offset != columns) return false;
    columns += part->out_features;
  }
  return first.count * first.in_features * columns == first.data.numel();
}

// Matrices e of stacks side by side as [1, K, N0 + N1 + ...]: Hugging Face's expert tensors.
Tensor expert_in_out(const std::vector<const LinearWeight*>& parts, int64_t e) {
  const LinearWeight& first = *parts.front();
  if (lie_side_by_side(parts)) return first.data.rows(e, e + 1).detach();
  const int64_t K = first.in_features;
  int64_t columns = 0;
  for (const LinearWeight* part : parts) columns += part->out_features;
  Tensor out({1, K, columns}, DType::kF32, first.data.device());
  auto* to = out.mutable_data<float>();  // of the part's first column
  for (const LinearWeight* part : parts) {
    const Tensor matrix = quant::dense_f32(*part, e);
    quant::transpose(matrix, to, columns);
    to += part->out_features;
  }
  return out;
}

// A parameter's values, wherever they lie: a tensor, or matrices (gate and up of a stack are two).
struct Parameter {
  ParameterInfo info;
  const Tensor* tensor = nullptr;
  std::vector<const LinearWeight*> matrices = {};
};

// Pairs the parameter list, in its order, with the weights.
class Pairing {
 public:
  explicit Pairing(const Config& config) : infos_(parameter_list(config)) {}

  void add(const Tensor& tensor) { list.push_back({next(), &tensor}); }
  void add(std::vector<const LinearWeight*> matrices) {
    list.push_back({next(), nullptr, std::move(matrices)});
  }
  void add(const MlpWeights& mlp) {
    add({&mlp.gate});
    add({&mlp.up});
    add({&mlp.down});
  }

  std::vector<Parameter> list;

 private:
  const ParameterInfo& next() const { return infos_.at(list.size()); }
  std::vector<ParameterInfo> infos_;
};

std::vector<Parameter> pair_up(const Config& config, const TextWeights& weights) {
  Pairing out(config);
  out.add(weights.embedding);
  for (const LayerWeights& layer : weights.layers) {
    out.add(layer.attention_norm);
    out.add({&layer.attention.q});
    out.add({&layer.attention.k});
    out.add({&layer.attention.v});
    out.add({&layer.attention.o});
    out.add(layer.mlp_norm);
    if (layer.dense) {
      out.add(*layer.dense);
      continue;
    }
    out.add({&layer.moe->router});
    out.add({&layer.moe->experts.gate, &layer.moe->experts.up});
    out.add({&layer.moe->experts.down});
    out.add(layer.moe->shared);
  }
  out.add(weights.final_norm);
  if (!config.tie_word_embeddings) out.add({&weights.readout});
  return std::move(out.list);
}

ExportTensor whole_tensor(std::string name, Role role, const Tensor& tensor) {
  const RowParts rows(tensor.shape());
  return {std::move(name), tensor.shape(), role, rows.count(),
          [&tensor, rows](int64_t part) { return tensor.rows(rows.begin(part), rows.end(part)); }};
}

ExportTensor matrix(std::string name, Role role, const LinearWeight& w) {
  const Shape shape = {w.out_features, w.in_features};
  if (!lies_out_in(w)) {
    return {std::move(name), shape, role, 1, [&w](int64_t) { return quant::dense_f32(w); }};
  }
  const RowParts rows(shape);
  return {std::move(name), shape, role, rows.count(), [&w, rows, shape](int64_t part) {
            return w.data.view(shape).rows(rows.begin(part), rows.end(part));
          }};
}

}  // namespace

RowParts::RowParts(const Shape& shape) : rows(shape[0]) {
  const int64_t row = std::max<int64_t>(1, shape.numel() / std::max<int64_t>(1, rows));
  per_part = std::max<int64_t>(1, kPartElements / row);
}

std::vector<ExportTensor> hf_tensors(const Config& config, const TextWeights& weights) {
  std::vector<ExportTensor> list;
  for (const Parameter& parameter : pair_up(config, weights)) {
    const ParameterInfo& info = parameter.info;
    if (parameter.tensor != nullptr) {
      list.push_back(whole_tensor(info.name, info.role, *parameter.tensor));
    } else if (info.shape.rank() == 2) {
      list.push_back(matrix(info.name, info.role, *parameter.matrices.front()));
    } else {
      list.push_back(
          {info.name, info.shape, info.role, info.shape[0],
           [matrices = parameter.matrices](int64_t e) { return expert_in_out(matrices, e); }});
    }
  }
  return list;
}

std::vector<ExportTensor> gguf_tensors(const Config& config, const TextWeights& weights) {
  std::vector<ExportTensor> list;
  for (const Parameter& parameter : pair_up(config, weights)) {
    const Role role = parameter.info.role;
    const std::vector<GgufTensor> form = gguf_form(parameter.info);
    if (parameter.tensor != nullptr) {
      list.push_back(whole_tensor(form.front().name, role, *parameter.tensor));
    } else if (parameter.info.shape.rank() == 2) {
      list.push_back(matrix(form.front().name, role, *parameter.matrices.front()));
    } else {
      for (size_t i = 0; i < form.size(); ++i) {
        list.push_back({form[i].name, form[i].shape, role, form[i].shape[0],
                        [w = parameter.matrices[i]](int64_t e) { return expert_out_in(*w, e); }});
      }
    }
    if (role != Role::kEmbedding) continue;
    if (weights.rope_divisors.defined()) {
      list.push_back(whole_tensor("rope_freqs.weight", Role::kNorm, weights.rope_divisors));
    } else if (config.rope_scaling) {
      list.push_back(rope_divisors(config, weights.embedding.device()));
    }
  }
  return list;
}

std::vector<GgufMatrix> gguf_matrices(const Config& config, const TextWeights& weights) {
  std::vector<GgufMatrix> list;
  for (const Parameter& parameter : pair_up(config, weights)) {
    const std::vector<GgufTensor> form = gguf_form(parameter.info);
    for (size_t i = 0; i < parameter.matrices.size(); ++i) {
      list.push_back({form[i].name, parameter.matrices[i]});
    }
  }
  return list;
}

ExportTensor rope_divisors(const Config& config, const DevicePtr& device) {
  const auto make = [config, device](int64_t) {
    const auto plain = ops::rope_frequencies(config.head_dim, config.rope_theta);
    const auto scaled =
        ops::rope_frequencies(config.head_dim, config.rope_theta, rope_scaling(config));
    std::vector<float> divisors;
    for (size_t i = 0; i < plain.per_pair().size(); ++i) {
      divisors.push_back(plain.per_pair()[i] / scaled.per_pair()[i]);
    }
    return Tensor::from(divisors, {config.head_dim / 2}, device);
  };
  return {"rope_freqs.weight", {config.head_dim / 2}, Role::kNorm, 1, make};
}

}  // namespace corral::model
