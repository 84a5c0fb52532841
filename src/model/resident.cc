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
void each_tensor(MlpWeights& mlp, const F& f) {
  for (quant::LinearWeight* weight : {&mlp.gate, &mlp.up, &mlp.down}) each_tensor(*weight, f);
}

/// f(tensor) of all that is multiplied with.
template <class F>
void each_tensor(TextWeights& weights, const F& f) {
  f(weights.embedding);
  for (LayerWeights& layer : weights.layers) {
    AttentionWeights& a = layer.attention;
    for (quant::LinearWeight* weight : {&a.q, &a.k, &a.v, &a.o}) each_tensor(*weight, f);
    if (layer.dense) each_tensor(*layer.dense, f);
    if (!layer.moe) continue;
    each_tensor(layer.moe->router, f);
    each_tensor(layer.moe->experts, f);
    each_tensor(layer.moe->shared, f);
  }
  each_tensor(weights.readout, f);
}

/// Calls on_part(bytes) after every part.
Tensor copied(const Tensor& from, const std::function<void(int64_t bytes)>& on_part) {
  Tensor to(from.shape(), from.dtype(), from.device());
  auto* const into = to.mutable_data<std::byte>();
  const auto* const at = from.data<std::byte>();
  for (int64_t part = 0; part < from.size_bytes(); part += kPartBytes) {
    const int64_t size = std::min(kPartBytes, from.size_bytes() - part);
    from.device()->threads().parallel_for(size, kGrainBytes, [&](int64_t begin, int64_t end) {
      std::memcpy(into + part + begin, at + part + begin, static_cast<size_t>(end - begin));
    });
    on_part(size);
  }
  return to;
}

/// Where a tensor lies, and its bytes.
using Place = std::pair<const std::byte*, int64_t>;
Place place_of(const Tensor& tensor) { return {tensor.data<std::byte>(), tensor.size_bytes()}; }

/// Copies of tensors, one of each place: several weights may be views of one tensor.
class Copies {
 public:
  explicit Copies(std::function<void(int64_t bytes)> on_part) : on_part_(std::move(on_part)) {}

  const Tensor& of(const Tensor& tensor) {
    const auto [at, added] = made_.try_emplace(place_of(tensor), Tensor());
    if (added) at->second = copied(tensor, on_part_);
    return at->second;
  }

 private:
  std::function<void(int64_t bytes)> on_part_;
  std::map<Place, Tensor> made_;
};

}  // namespace

int64_t resident_bytes(const TextWeights& weights) {
  TextWeights all = weights;
  std::set<Place> places;
  each_tensor(all, [&](const Tensor& tensor) { places.insert(place_of(tensor)); });
  int64_t bytes = 0;
  for (const auto& [place, size] : places) bytes += size;
  return bytes;
}

void make_resident(LoadedModel& loaded, const std::function<void(int64_t bytes)>& on_copied,
                   int64_t available) {
  TextWeights weights = loaded.model.weights();
  const int64_t needed = resident_bytes(weights);
  if (available > 0 && needed > available) {
    throw Error(str("the weights take ", needed >> 20, " MiB, and ", available >> 20,
                    " MiB of memory are available: let them be mapped"));
  }
  int64_t done = 0;
  Copies copies([&](int64_t bytes) {
    loaded.source->forget_pages();
    done += bytes;
    if (on_copied) on_copied(done);
  });
  each_tensor(weights, [&](Tensor& tensor) { tensor = copies.of(tensor); });
  loaded.model = TextModel(loaded.model.config(), std::move(weights));
}

}  // namespace corral::model
