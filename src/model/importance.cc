#include "model/importance.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "model/export.h"

namespace corral::model {
namespace {

constexpr const char* kType = "general.type";
constexpr const char* kImatrix = "imatrix";
constexpr const char* kDatasets = "imatrix.datasets";
constexpr const char* kChunkCount = "imatrix.chunk_count";
constexpr const char* kChunkSize = "imatrix.chunk_size";
constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
// llama.cpp counts text in chunks.
constexpr int64_t kChunkTokens = 512;

// Adds the squares of rows [begin, end) to sums [K].
void add_squares(const Tensor& x_NK, int64_t begin, int64_t end, double* sums) {
  const int64_t K = x_NK.dim(1);
  const auto* x = x_NK.data<float>();
  x_NK.device()->threads().parallel_for(K, 64, [&](int64_t first, int64_t last) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t k = first; k < last; ++k) {
        const auto value = static_cast<double>(x[row * K + k]);
        sums[k] += value * value;
      }
    }
  });
}

Tensor as_f32(const std::vector<double>& values, const Shape& shape, const DevicePtr& device) {
  return Tensor::from(std::vector<float>(values.begin(), values.end()), shape, device);
}

std::vector<double> read_numbers(const io::GgufFile& file, const std::string& name,
                                 const DevicePtr& device) {
  if (!file.has(name)) throw CorruptFile(str(file.origin(), ": tensor ", name, " is missing"));
  const Tensor tensor = file.get(name, device);
  if (tensor.dtype() != DType::kF32) {
    throw CorruptFile(
        str(file.origin(), ": tensor ", name, " holds ", tensor.dtype(), ", importances are f32"));
  }
  for (const float value : tensor.values<float>()) {
    if (!(value >= 0) || !std::isfinite(value)) {
      throw CorruptFile(str(file.origin(), ": tensor ", name, " holds ", value,
                            ", importances are numbers from 0 on"));
    }
  }
  return {tensor.data<float>(), tensor.data<float>() + tensor.numel()};
}

}  // namespace

std::vector<float> Importance::columns(std::string_view tensor, int64_t index,
                                       const Shape& shape) const {
  const auto at = entries.find(tensor);
  if (at == entries.end()) return {};
  const Entry& entry = at->second;
  const auto matrices = static_cast<int64_t>(entry.counts.size());
  const int64_t wanted = shape.rank() == 3 ? shape[0] : 1;
  if (entry.columns != shape[-1] || matrices != wanted) {
    throw UsageError(str("importances of ", tensor, " are for ", matrices, " x ", entry.columns,
                         " columns, the model has ", wanted, " x ", shape[-1],
                         ": they are of another model"));
  }
  const bool seen = entry.counts[static_cast<size_t>(index)] > 0;
  const int64_t first = seen ? index : 0;
  const int64_t last = seen ? index + 1 : matrices;
  const double count =
      std::accumulate(entry.counts.begin() + first, entry.counts.begin() + last, 0.0);
  if (count <= 0) return {};
  std::vector<float> mean(static_cast<size_t>(entry.columns));
  for (int64_t k = 0; k < entry.columns; ++k) {
    double sum = 0;
    for (int64_t e = first; e < last; ++e) {
      sum += entry.sums[static_cast<size_t>(e * entry.columns + k)];
    }
    mean[static_cast<size_t>(k)] = static_cast<float>(sum / count);
  }
  return mean;
}

ImportanceCollector::ImportanceCollector(const TextModel& model) {
  for (const GgufMatrix& matrix : gguf_matrices(model.config(), model.weights())) {
    Importance::Entry& entry = importance.entries[matrix.name];
    entry.columns = matrix.weight->in_features;
    entry.sums.resize(static_cast<size_t>(matrix.weight->count * entry.columns));
    entry.counts.resize(static_cast<size_t>(matrix.weight->count));
    entry_of_[matrix.weight] = &entry;
  }
}

void ImportanceCollector::input(std::span<const quant::LinearWeight* const> weights,
                                const Tensor& x_NK, std::span<const int64_t> offsets_E) {
  const std::vector<int64_t> all = {0, x_NK.dim(0)};
  const std::span<const int64_t> offsets = offsets_E.empty() ? std::span(all) : offsets_E;
  const int64_t K = x_NK.dim(1);
  std::vector<double> squares(static_cast<size_t>(K));
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    if (offsets[e] == offsets[e + 1]) continue;
    std::fill(squares.begin(), squares.end(), 0.0);
    add_squares(x_NK, offsets[e], offsets[e + 1], squares.data());
    for (const quant::LinearWeight* weight : weights) {
      Importance::Entry& entry = *entry_of_.at(weight);
      for (size_t k = 0; k < squares.size(); ++k) {
        entry.sums[e * squares.size() + k] += squares[k];
      }
      entry.counts[e] += static_cast<double>(offsets[e + 1] - offsets[e]);
    }
  }
}

void save_importance(const std::filesystem::path& path, const Importance& importance) {
  io::GgufMetadata metadata;
  metadata.set_string(kType, kImatrix);
  metadata.set_array(kDatasets, std::span<const std::string>(importance.datasets));
  metadata.set_u32(kChunkCount, (importance.tokens + kChunkTokens - 1) / kChunkTokens);
  metadata.set_u32(kChunkSize, kChunkTokens);
  const DevicePtr device = Device::cpu({.threads = 1});
  io::GgufWriter writer(path, std::move(metadata));
  for (const auto& [name, entry] : importance.entries) {
    const auto matrices = static_cast<int64_t>(entry.counts.size());
    writer.declare(name + std::string(kSums), DType::kF32, {matrices, entry.columns});
    writer.declare(name + std::string(kCounts), DType::kF32, {matrices, 1});
  }
  for (const auto& [name, entry] : importance.entries) {
    const auto matrices = static_cast<int64_t>(entry.counts.size());
    writer.write(name + std::string(kSums), as_f32(entry.sums, {matrices, entry.columns}, device));
    writer.write(name + std::string(kCounts), as_f32(entry.counts, {matrices, 1}, device));
  }
  writer.finish();
}

Importance load_importance(const std::filesystem::path& path) {
  const io::GgufFile file(path);
  if (file.find_string(kType).value_or("") != kImatrix) {
    throw CorruptFile(
        str(path.string(), ": no file of importances: `corral calibrate` writes one"));
  }
  const DevicePtr device = Device::cpu({.threads = 1});
  Importance importance;
  for (const io::TensorInfo& info : file.tensors()) {
    if (!info.name.ends_with(kSums)) continue;
    const std::string name = info.name.substr(0, info.name.size() - kSums.size());
    Importance::Entry entry;
    entry.sums = read_numbers(file, info.name, device);
    entry.counts = read_numbers(file, name + std::string(kCounts), device);
    if (entry.counts.empty() || entry.sums.size() % entry.counts.size() != 0) {
      throw CorruptFile(str(path.string(), ": tensor ", info.name, " is ", info.shape, ", its ",
                            entry.counts.size(), " counts need as many rows"));
    }
    entry.columns = static_cast<int64_t>(entry.sums.size() / entry.counts.size());
    importance.entries.emplace(name, std::move(entry));
  }
  return importance;
}

}  // namespace corral::model
