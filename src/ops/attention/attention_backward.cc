#include "ops/attention/attention_backward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/attention/attention_kernel.h"

namespace corral::ops {
namespace {

// Rows of a block for each piece that its keys are cut into, and the most pieces.
constexpr int64_t kPieceRows = 512;
constexpr int64_t kMostPieces = 8;

// The keys [key_begin, key_end) of a block (positions in the chunk) of one kv head, with all
// queries that see them.
struct Unit {
  const AttentionBlock* block = nullptr;
  int64_t kv_head = 0;
  int64_t key_begin = 0;
  int64_t key_end = 0;
  float* dq = nullptr;    // of the first query that sees a key of the piece
  int64_t dq_stride = 0;  // floats from one query to the next

  int64_t first_query() const { return block->first_seeing(key_begin); }
  int64_t queries() const { return block->last_query() - first_query() + 1; }
  int64_t cost() const {
    const int64_t keys = key_end - key_begin;
    return keys * (block->causal ? queries() - keys / 2 : queries());
  }
};

// The pieces of one block and kv head, whose dq are to be added.
struct Sum {
  size_t first_unit = 0;
  size_t units = 0;
};

struct Workplace {
  std::vector<const float*> q;
  std::vector<const float*> dout;
  std::vector<float*> dq;
  std::vector<int64_t> last;
  std::vector<float> lse;
  std::vector<float> delta;
  std::vector<float> tiles;  // k and v transposed, dk, dv
};

class BackwardPass {
 public:
  BackwardPass(const AttentionSaved& saved, const Tensor& dout_THC)
      : saved_(saved),
        dout_(dout_THC),
        device_(saved.q_THC.device()),
        kernel_(attention_kernel(*device_)),
        grad_kernel_(simd::choose(device_->isa(), portable::kAttentionGrad, avx2::kAttentionGrad,
                                  avx512::kAttentionGrad)),
        T_(saved.q_THC.dim(0)),
        H_(saved.q_THC.dim(1)),
        K_(saved.k_TKC.dim(1)),
        C_(saved.q_THC.dim(2)),
        group_(H_ / K_) {}

  AttentionGradients run();

 private:
  void make_units(float* dq);
  void cut_block(const AttentionBlock& block, int64_t kv_head, float* dq);
  void load_queries(const Unit& unit, Workplace& place) const;
  void run_unit(const Unit& unit, Workplace& place, float* dk, float* dv) const;
  void add_pieces(float* dq) const;

  const AttentionSaved& saved_;
  const Tensor& dout_;
  DevicePtr device_;
  const AttentionKernel& kernel_;
  const AttentionGradKernel& grad_kernel_;
  int64_t T_;
  int64_t H_;
  int64_t K_;
  int64_t C_;
  int64_t group_;
  std::vector<Unit> units_;
  std::vector<Sum> sums_;
  std::vector<Tensor> pieces_;  // memory of the units' own dq
  Tensor delta_TH_;
};

// Pieces of about equal area under the causal triangle (or of the square), at tile borders.
void BackwardPass::cut_block(const AttentionBlock& block, int64_t kv_head, float* dq) {
  const int64_t pieces = std::clamp<int64_t>(block.count / kPieceRows, 1, kMostPieces);
  const int64_t end = block.last_query() + 1;
  const size_t first_unit = units_.size();
  int64_t begin = block.first_key;
  for (int64_t i = 0; i < pieces && begin < end; ++i) {
    const double left = 1.0 - static_cast<double>(i + 1) / static_cast<double>(pieces);
    const double rest = block.causal ? std::sqrt(left) : left;
    const auto cut = static_cast<int64_t>(static_cast<double>(block.count) * (1.0 - rest));
    int64_t to = (block.first_key + cut + kKeyTile - 1) / kKeyTile * kKeyTile;
    if (i + 1 == pieces) to = end;
    to = std::min(to, end);
    if (to <= begin) continue;
    units_.push_back({.block = &block, .kv_head = kv_head, .key_begin = begin, .key_end = to});
    begin = to;
  }
  if (units_.size() == first_unit + 1) {
    units_.back().dq = dq + (block.row * H_ + kv_head * group_) * C_;
    units_.back().dq_stride = H_ * C_;
    return;
  }
  sums_.push_back({first_unit, units_.size() - first_unit});
  for (size_t u = first_unit; u < units_.size(); ++u) {
    pieces_.emplace_back(Shape{units_[u].queries(), group_ * C_}, DType::kF32, device_);
    units_[u].dq = pieces_.back().mutable_data<float>();
    units_[u].dq_stride = group_ * C_;
  }
}

void BackwardPass::make_units(float* dq) {
  for (const AttentionBlock& block : saved_.blocks) {
    for (int64_t kv_head = 0; kv_head < K_; ++kv_head) cut_block(block, kv_head, dq);
  }
}

void BackwardPass::load_queries(const Unit& unit, Workplace& place) const {
  const auto n = static_cast<size_t>(unit.queries() * group_);
  place.q.resize(n);
  place.dout.resize(n);
  place.dq.resize(n);
  place.last.resize(n);
  place.lse.resize(n);
  place.delta.resize(n);
  const float* q = saved_.q_THC.data<float>();
  const float* dout = dout_.data<float>();
  const float* lse = saved_.lse_TH.data<float>();
  const float* delta = delta_TH_.data<float>();
  size_t i = 0;
  for (int64_t query = 0; query < unit.queries(); ++query) {
    const int64_t position = unit.first_query() + query;
    const int64_t row = unit.block->row + position - unit.block->first_query;
    for (int64_t g = 0; g < group_; ++g, ++i) {
      const int64_t head = row * H_ + unit.kv_head * group_ + g;
      place.q[i] = q + head * C_;
      place.dout[i] = dout + head * C_;
      place.dq[i] = unit.dq + query * unit.dq_stride + g * C_;
      place.last[i] = unit.block->last_key(position);
      place.lse[i] = lse[head];
      place.delta[i] = delta[head];
    }
    std::memset(unit.dq + query * unit.dq_stride, 0,
                static_cast<size_t>(group_ * C_) * sizeof(float));
  }
}

void BackwardPass::run_unit(const Unit& unit, Workplace& place, float* dk, float* dv) const {
  load_queries(unit, place);
  const int64_t tile_floats = C_ * kKeyTile;
  place.tiles.resize(static_cast<size_t>(4 * tile_floats));
  float* tiles = place.tiles.data();
  const int64_t stride = K_ * C_;
  for (int64_t key = unit.key_begin; key < unit.key_end;) {
    const int64_t first = key / kKeyTile * kKeyTile;
    const int64_t count = std::min(first + kKeyTile, unit.key_end) - key;
    const int64_t row = unit.block->row + key - unit.block->first_query;
    const int64_t at = row * stride + unit.kv_head * C_;
    GradTile tile;
    tile.first = first;
    tile.begin = key - first;
    tile.k = tiles;
    tile.v_transposed = tiles + tile_floats;
    tile.k_rows = saved_.k_TKC.data<float>() + at;
    tile.k_stride = stride;
    tile.dk = tiles + 2 * tile_floats;
    tile.dv = tiles + 3 * tile_floats;
    kernel_.transpose(tile.k_rows, stride, tile.begin, count, C_, tiles);
    kernel_.transpose(saved_.v_TKC.data<float>() + at, stride, tile.begin, count, C_,
                      tiles + tile_floats);
    std::memset(tile.dk, 0, static_cast<size_t>(2 * tile_floats) * sizeof(float));

    const auto skipped =
        static_cast<size_t>((unit.block->first_seeing(key) - unit.first_query()) * group_);
    GradRows rows;
    rows.count = static_cast<int64_t>(place.q.size() - skipped);
    rows.q = place.q.data() + skipped;
    rows.dout = place.dout.data() + skipped;
    rows.dq = place.dq.data() + skipped;
    rows.last = place.last.data() + skipped;
    rows.lse = place.lse.data() + skipped;
    rows.delta = place.delta.data() + skipped;
    grad_kernel_.backward(rows, tile, C_, saved_.scale);

    for (int64_t j = 0; j < count; ++j) {
      const int64_t from = (tile.begin + j) * C_;
      std::memcpy(dk + at + j * stride, tile.dk + from, static_cast<size_t>(C_) * sizeof(float));
      std::memcpy(dv + at + j * stride, tile.dv + from, static_cast<size_t>(C_) * sizeof(float));
    }
    key += count;
  }
}

// dq of the cut blocks: the sum of their pieces' in the order of keys.
void BackwardPass::add_pieces(float* dq) const {
  run_units(device_->threads(), static_cast<int64_t>(sums_.size()), T_ * H_ * C_,
            [&](int, int64_t index) {
              const Sum& sum = sums_[static_cast<size_t>(index)];
              const AttentionBlock& block = *units_[sum.first_unit].block;
              const int64_t head = units_[sum.first_unit].kv_head * group_;
              for (int64_t query = 0; query < block.count; ++query) {
                float* to = dq + ((block.row + query) * H_ + head) * C_;
                for (size_t u = sum.first_unit; u < sum.first_unit + sum.units; ++u) {
                  const Unit& unit = units_[u];
                  const int64_t own = block.first_query + query - unit.first_query();
                  if (own < 0) break;
                  const float* from = unit.dq + own * unit.dq_stride;
                  for (int64_t i = 0; i < group_ * C_; ++i) {
                    to[i] = u == sum.first_unit ? from[i] : to[i] + from[i];
                  }
                }
              }
            });
}

AttentionGradients BackwardPass::run() {
  delta_TH_ = Tensor({T_, H_}, DType::kF32, device_);
  auto* delta = delta_TH_.mutable_data<float>();
  const float* dout = dout_.data<float>();
  const float* out = saved_.out_THC.data<float>();
  device_->threads().parallel_for(T_ * H_, 1024, [&](int64_t begin, int64_t end) {
    grad_kernel_.dot_rows(dout + begin * C_, out + begin * C_, end - begin, C_, delta + begin);
  });

  AttentionGradients gradients = {empty_like(saved_.q_THC), empty_like(saved_.k_TKC),
                                  empty_like(saved_.v_TKC)};
  auto* dq = gradients.dq_THC.mutable_data<float>();
  auto* dk = gradients.dk_TKC.mutable_data<float>();
  auto* dv = gradients.dv_TKC.mutable_data<float>();
  make_units(dq);
  std::vector<const Unit*> order;
  int64_t operations = 0;
  for (const Unit& unit : units_) {
    order.push_back(&unit);
    operations += 10 * unit.cost() * group_ * C_;
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const Unit* a, const Unit* b) { return a->cost() > b->cost(); });
  std::vector<Workplace> places(static_cast<size_t>(device_->threads().size()));
  run_units(device_->threads(), static_cast<int64_t>(order.size()), operations,
            [&](int member, int64_t unit) {
              run_unit(*order[static_cast<size_t>(unit)], places[static_cast<size_t>(member)], dk,
                       dv);
            });
  add_pieces(dq);
  return gradients;
}

}  // namespace

AttentionGradients attention_backward(const AttentionSaved& saved, const Tensor& dout_THC) {
  return BackwardPass(saved, dout_THC).run();
}

}  // namespace corral::ops
