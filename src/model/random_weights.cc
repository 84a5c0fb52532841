#include "model/random_weights.h"

#include <cstring>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "io/convert_dtype.h"
#include "model/gguf_names.h"
#include "model/initialise.h"

namespace corral::model {
namespace {

constexpr int64_t kShortRow = 1024;
constexpr int64_t kRun = 256;  // a multiple of every block
constexpr int64_t kRuns = 4096;
constexpr int64_t kColumnTile = 64;

// Which matrices of a parameter: [N, K] each, of a stack of experts one an expert.
struct Rows {
  const ParameterInfo& info;
  int64_t matrix;  // of the stack, or 0
  int64_t first;   // row of the matrix
  int64_t count;
};

bool is_stack(const ParameterInfo& info) { return info.shape.rank() == 3; }
// Hugging Face's stacks are [E, in, out], all other matrices [out, in].
int64_t outputs(const ParameterInfo& info) { return info.shape[is_stack(info) ? 2 : 0]; }
int64_t inputs(const ParameterInfo& info) { return info.shape[1]; }

}  // namespace

class RandomWeights::Maker {
 public:
  Maker(const Config& config, uint64_t seed, const DevicePtr& device)
      : config_(config), seed_(seed), device_(device), pool_({kRuns, kRun}, DType::kF32, device) {
    const Philox random(seed ^ hash_name("pool"));
    auto* values = pool_.mutable_data<float>();
    device->threads().parallel_for(pool_.numel(), 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        values[i] = static_cast<float>(random.normal(static_cast<uint64_t>(i)));
      }
    });
  }

  const DevicePtr& device() const { return device_; }

  Tensor whole(const ParameterInfo& info) const {
    return initialise_parameter(config_, info, seed_, device_);
  }

  /// Rows of outputs as [count, K].
  Tensor out_in(const Rows& rows, DType dtype) {
    if (inputs(rows.info) < kShortRow) return drawn(rows);
    const int64_t K = inputs(rows.info);
    const Tensor& pool = pool_of(rows.info, dtype);
    const Philox random = chooser(rows.info);
    const int64_t run_bytes = bytes_of(dtype, kRun);
    const int64_t row_bytes = bytes_of(dtype, K);
    Tensor out({rows.count, K}, dtype, device_);
    auto* to = out.mutable_data<std::byte>();
    device_->threads().parallel_for(rows.count, 16, [&](int64_t begin, int64_t end) {
      std::vector<int64_t> runs(static_cast<size_t>(runs_of(K)));
      for (int64_t n = begin; n < end; ++n) {
        choose(random, rows, n, runs);
        std::byte* at = to + n * row_bytes;
        for (const int64_t run : runs) {
          const int64_t size = std::min(run_bytes, to + (n + 1) * row_bytes - at);
          std::memcpy(at, pool.data<std::byte>() + run * run_bytes, static_cast<size_t>(size));
          at += size;
        }
      }
    });
    return out;
  }

  /// An expert as [1, K, N]: f32, or bf16 or f16 where that is asked for.
  Tensor in_out(const ParameterInfo& info, int64_t expert, DType dtype) {
    const int64_t K = inputs(info);
    const int64_t N = outputs(info);
    Tensor out({1, K, N}, K < kShortRow ? DType::kF32 : dtype, device_);
    if (K < kShortRow) {
      const Philox random(seed_ ^ hash_name(plain_name(info.name)));
      const double deviation = initial_std(config_, info);
      auto* to = out.mutable_data<float>();
      device_->threads().parallel_for(K * N, 4096, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          to[i] = static_cast<float>(deviation *
                                     random.normal(static_cast<uint64_t>(expert * K * N + i)));
        }
      });
    } else if (dtype == DType::kF32) {
      spread<float>({info, expert, 0, N}, dtype, out);
    } else {
      spread<uint16_t>({info, expert, 0, N}, dtype, out);
    }
    return out;
  }

 private:
  static int64_t runs_of(int64_t K) { return (K + kRun - 1) / kRun; }

  Philox chooser(const ParameterInfo& info) const {
    return Philox(seed_ ^ hash_name(str("runs of ", plain_name(info.name))));
  }

  // The runs of row n of these; the last may be used in part.
  static void choose(const Philox& random, const Rows& rows, int64_t n,
                     std::vector<int64_t>& runs) {
    const auto row = static_cast<uint64_t>(rows.matrix * outputs(rows.info) + rows.first + n);
    for (size_t i = 0; i < runs.size(); i += 4) {
      const auto words = random.block(row, i / 4);
      for (size_t j = 0; j < 4 && i + j < runs.size(); ++j) {
        runs[i + j] = static_cast<int64_t>(words.at(j)) % kRuns;
      }
    }
  }

  // The pool at this parameter's deviation, in a type. The lists are worked off one tensor at a
  // time, so nobody else looks.
  const Tensor& pool_of(const ParameterInfo& info, DType dtype) {
    const double deviation = initial_std(config_, info);
    Tensor& pool = pools_[{dtype, deviation}];
    if (pool.defined()) return pool;
    Tensor scaled = empty_like(pool_);
    auto* to = scaled.mutable_data<float>();
    for (int64_t i = 0; i < pool_.numel(); ++i) {
      to[i] = static_cast<float>(deviation * static_cast<double>(pool_.data<float>()[i]));
    }
    pool = io::convert(scaled, dtype);
    return pool;
  }

  // Short rows in f32, value by value.
  Tensor drawn(const Rows& rows) const {
    const ParameterInfo& info = rows.info;
    const int64_t K = inputs(info);
    const int64_t N = outputs(info);
    const Philox random(seed_ ^ hash_name(plain_name(info.name)));
    const double deviation = initial_std(config_, info);
    Tensor out({rows.count, K}, DType::kF32, device_);
    auto* to = out.mutable_data<float>();
    device_->threads().parallel_for(rows.count, 16, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        for (int64_t k = 0; k < K; ++k) {
          const int64_t row = rows.first + n;
          const int64_t i = is_stack(info) ? (rows.matrix * K + k) * N + row : row * K + k;
          to[n * K + k] = static_cast<float>(deviation * random.normal(static_cast<uint64_t>(i)));
        }
      }
    });
    return out;
  }

  // Rows as the columns of [K, N], a tile of them at a time so that lines are written whole.
  template <class T>
  void spread(const Rows& rows, DType dtype, Tensor& out) {
    const int64_t K = inputs(rows.info);
    const int64_t N = rows.count;
    const Tensor& pool = pool_of(rows.info, dtype);
    const Philox random = chooser(rows.info);
    auto* to = out.mutable_data<T>();
    device_->threads().parallel_for(N, kColumnTile, [&](int64_t begin, int64_t end) {
      std::vector<std::vector<int64_t>> runs(kColumnTile,
                                             std::vector<int64_t>(static_cast<size_t>(runs_of(K))));
      for (int64_t tile = begin; tile < end; tile += kColumnTile) {
        const int64_t n = std::min(kColumnTile, end - tile);
        for (int64_t i = 0; i < n; ++i)
          choose(random, rows, tile + i, runs[static_cast<size_t>(i)]);
        for (int64_t k = 0; k < K; ++k) {
          const auto run = static_cast<size_t>(k / kRun);
          for (int64_t i = 0; i < n; ++i) {
            to[k * N + tile + i] =
                pool.data<T>()[runs[static_cast<size_t>(i)][run] * kRun + k % kRun];
          }
        }
      }
    });
  }

  Config config_;
  uint64_t seed_;
  DevicePtr device_;
  Tensor pool_;  // deviation 1
  std::map<std::pair<DType, double>, Tensor> pools_;
};

RandomWeights::RandomWeights(const Config& config, uint64_t seed, const DevicePtr& device)
    : config_(config), maker_(std::make_shared<Maker>(config, seed, device)) {}

RandomWeights::~RandomWeights() = default;

// A parameter with one or two axes.
ExportTensor RandomWeights::plain(const ParameterInfo& info, const std::string& name,
                                  DType dtype) const {
  if (info.shape.rank() == 1) {
    return {name, info.shape, info.role, 1,
            [maker = maker_, info](int64_t) { return maker->whole(info); }};
  }
  const RowParts rows(info.shape);
  return {name, info.shape, info.role, rows.count(),
          [maker = maker_, info, rows, dtype](int64_t part) {
            const int64_t first = rows.begin(part);
            return maker->out_in({info, 0, first, rows.end(part) - first}, dtype);
          }};
}

std::vector<ExportTensor> RandomWeights::hf(DType dtype) const {
  std::vector<ExportTensor> list;
  for (const ParameterInfo& info : parameter_list(config_)) {
    if (!is_stack(info)) {
      list.push_back(plain(info, info.name, dtype));
      continue;
    }
    list.push_back(
        {info.name, info.shape, info.role, info.shape[0],
         [maker = maker_, info, dtype](int64_t e) { return maker->in_out(info, e, dtype); }});
  }
  return list;
}

std::vector<ExportTensor> RandomWeights::gguf(const TypeMix& mix) const {
  std::vector<ExportTensor> list;
  for (const ParameterInfo& info : parameter_list(config_)) {
    int64_t first = 0;
    for (const GgufTensor& form : gguf_form(info)) {
      ExportTensor tensor = {form.name, form.shape, info.role, form.shape[0], nullptr};
      const DType dtype = stored_dtype(tensor, mix);
      if (!is_stack(info)) {
        list.push_back(plain(info, form.name, dtype));
        continue;
      }
      const int64_t N = form.shape[1];
      tensor.make = [maker = maker_, info, first, N, dtype](int64_t e) {
        const Tensor rows = maker->out_in({info, e, first, N}, dtype);
        return rows.view({1, rows.dim(0), rows.dim(1)});
      };
      list.push_back(std::move(tensor));
      first += N;
    }
    if (info.role == Role::kEmbedding && config_.rope_scaling) {
      list.push_back(rope_divisors(config_, maker_->device()));
    }
  }
  return list;
}

}  // namespace corral::model
