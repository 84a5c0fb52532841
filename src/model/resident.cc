#include "model/resident.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ops/matmul/matmul.h"
#include "quant/interleaved.h"

namespace corral::model {
namespace {

// What a thread copies at a time, and all together before the pages they came from are given back.
constexpr int64_t kGrainBytes = 1 << 22;
constexpr int64_t kPartBytes = 1 << 24;

template <class F>
void each_tensor(quant::LinearWeight& weight, const F& f) {
  f(weight.data);
  if (weight.scales.defined()) f(weight.scales);
  if (weight.matrices == nullptr) return;
  std::vector<Tensor> matrices = *weight.matrices;
  for (Tensor& matrix : matrices) f(matrix);
  weight.matrices = std::make_shared<const std::vector<Tensor>>(std::move(matrices));
}

template <class F>
void each_weight(MlpWeights& mlp, const F& f) {
  for (quant::LinearWeight* weight : {&mlp.gate, &mlp.up, &mlp.down}) f(*weight);
}

/// f(weight) of all matrices.
template <class F>
void each_weight(TextWeights& weights, const F& f) {
  for (LayerWeights& layer : weights.layers) {
    AttentionWeights& a = layer.attention;
    for (quant::LinearWeight* weight : {&a.q, &a.k, &a.v, &a.o}) f(*weight);
    if (layer.dense) each_weight(*layer.dense, f);
    if (!layer.moe) continue;
    f(layer.moe->router);
    each_weight(layer.moe->experts, f);
    each_weight(layer.moe->shared, f);
  }
  f(weights.readout);
}

/// f(tensor) of all that is multiplied with.
template <class F>
void each_tensor(TextWeights& weights, const F& f) {
  f(weights.embedding);
  each_weight(weights, [&](quant::LinearWeight& weight) { each_tensor(weight, f); });
}

using OnPart = std::function<void(int64_t bytes)>;

/// A tensor like this, made in parts of whole units: copy(from, to, bytes) on several threads, then
/// on_part(bytes).
template <class Copy>
Tensor made_of(const Tensor& from, int64_t unit_bytes, const OnPart& on_part, const Copy& copy) {
  Tensor to(from.shape(), from.dtype(), from.device());
  auto* const into = to.mutable_data<std::byte>();
  const auto* const at = from.data<std::byte>();
  const auto whole = [&](int64_t bytes) { return std::max<int64_t>(1, bytes / unit_bytes); };
  const int64_t units = from.size_bytes() / unit_bytes;
  const int64_t each = whole(kPartBytes);
  for (int64_t part = 0; part < units; part += each) {
    const int64_t count = std::min(each, units - part);
    from.device()->threads().parallel_for(
        count, whole(kGrainBytes), [&](int64_t begin, int64_t end) {
          const int64_t first = (part + begin) * unit_bytes;
          copy(at + first, into + first, (end - begin) * unit_bytes);
        });
    on_part(count * unit_bytes);
  }
  return to;
}

Tensor copied(const Tensor& from, const OnPart& on_part) {
  return made_of(from, 1, on_part, [](const std::byte* at, std::byte* to, int64_t bytes) {
    std::memcpy(to, at, static_cast<size_t>(bytes));
  });
}

/// The weight's data with its rows interleaved.
Tensor interleaved(const quant::LinearWeight& w, const quant::Interleaving& how,
                   const OnPart& on_part) {
  const int64_t row_bytes = bytes_of(w.data.dtype(), w.in_features);
  const int64_t unit_bytes = how.rows * row_bytes;
  return made_of(w.data, unit_bytes, on_part,
                 [&](const std::byte* at, std::byte* to, int64_t bytes) {
                   for (int64_t unit = 0; unit < bytes; unit += unit_bytes) {
                     quant::interleave(w.data.dtype(), how, at + unit, w.in_features, to + unit);
                   }
                 });
}

/// Where a tensor lies, and its bytes.
using Place = std::pair<const std::byte*, int64_t>;
Place place_of(const Tensor& tensor) { return {tensor.data<std::byte>(), tensor.size_bytes()}; }

/// Copies of tensors, one of each place: several weights may be views of one tensor.
class Copies {
 public:
  explicit Copies(OnPart on_part) : on_part_(std::move(on_part)) {}

  const Tensor& of(const Tensor& tensor) {
    const auto [at, added] = made_.try_emplace(place_of(tensor), Tensor());
    if (added) at->second = copied(tensor, on_part_);
    return at->second;
  }

 private:
  OnPart on_part_;
  std::map<Place, Tensor> made_;
};

/// How many weights each tensor belongs to.
std::map<Place, int> uses(TextWeights& weights) {
  std::map<Place, int> uses;
  each_tensor(weights, [&](const Tensor& tensor) { ++uses[place_of(tensor)]; });
  return uses;
}

/// Interleaves the rows of weights that nobody reads otherwise, where that makes products faster.
void interleave(TextWeights& weights, const OnPart& on_part) {
  const std::map<Place, int> all_uses = uses(weights);
  each_weight(weights, [&](quant::LinearWeight& weight) {
    const Tensor& data = weight.data;
    const quant::Interleaving how = ops::interleaving_of(data.device()->isa(), data.dtype());
    if (!quant::can_interleave(weight, how) || all_uses.at(place_of(data)) > 1) return;
    weight.data = interleaved(weight, how, on_part);
    weight.interleaving = how;
  });
}

}  // namespace

int64_t resident_bytes(const TextWeights& weights) {
  TextWeights all = weights;
  std::set<Place> places;
  each_tensor(all, [&](const Tensor& tensor) { places.insert(place_of(tensor)); });
  int64_t bytes = 0;
  for (const auto& [place, size] : places) bytes += size;
  return bytes;
}

bool fits_in_memory(const TextWeights& weights, int64_t available) {
  return available <= 0 || resident_bytes(weights) <= available;
}

void make_resident(LoadedModel& loaded, const std::function<void(int64_t bytes)>& on_copied,
                   int64_t available) {
  TextWeights weights = loaded.model.weights();
  if (!fits_in_memory(weights, available)) {
    throw Error(str("the weights take ", resident_bytes(weights) >> 20, " MiB, and ",
                    available >> 20, " MiB of memory are available: let them be mapped"));
  }
  int64_t done = 0;
  const OnPart on_part = [&](int64_t bytes) {
    loaded.source->forget_pages();
    done += bytes;
    if (on_copied) on_copied(done);
  };
  interleave(weights, on_part);
  Copies copies(on_part);
  each_weight(weights, [&](quant::LinearWeight& weight) {
    if (weight.interleaving) return;
    each_tensor(weight, [&](Tensor& tensor) { tensor = copies.of(tensor); });
  });
  weights.embedding = copies.of(weights.embedding);
  loaded.model = TextModel(loaded.model.config(), std::move(weights));
}

}  // namespace corral::model
