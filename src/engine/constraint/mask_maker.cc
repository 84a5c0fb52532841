#include "engine/constraint/mask_maker.h"

#include <algorithm>
#include <utility>

namespace corral::engine {

// The tree's nodes [begin, end), whole subtrees, read from a configuration on. on_token: a token
// that some text goes on with; on_end(node): a text may end at a node that has others below it.
template <class OnToken, class OnEnd>
void MaskMaker::walk(int32_t begin, int32_t end, int32_t configuration, const OnToken& on_token,
                     const OnEnd& on_end) {
  levels_.assign(1, {end, configuration});
  for (int32_t node = begin; node < end;) {
    while (node >= levels_.back().end) levels_.pop_back();
    const int32_t next = configurations_.step(levels_.back().configuration, vocabulary_.byte(node));
    const int32_t behind = vocabulary_.end(node);
    if (next == Configurations::kDead) {
      node = behind;
      continue;
    }
    if (const int32_t token = vocabulary_.token(node); token >= 0) on_token(token);
    if (behind == node + 1) {
      ++node;
      continue;
    }
    if (configurations_.can_end(next)) on_end(node);
    if (!configurations_.can_go_on(next)) {
      node = behind;
      continue;
    }
    levels_.push_back({behind, next});
    ++node;
  }
}

const MaskMaker::Local& MaskMaker::local(std::span<const Configurations::Thread> threads) {
  std::vector<int32_t> nodes;
  for (const auto& thread : threads) nodes.push_back(thread.node);
  std::sort(nodes.begin(), nodes.end());
  const int32_t alone = configurations_.alone(nodes);
  const auto V = static_cast<size_t>(vocabulary_.tokenizer().vocab_size());
  const auto [found, is_new] = locals_.try_emplace(alone, V);
  Local& result = found->second;
  if (!is_new) return result;
  walk(
      0, vocabulary_.nodes(), alone, [&](int32_t token) { result.inside.set(token); },
      [&](int32_t node) { result.crossed.push_back(node); });
  bytes_ += V / 8 + result.crossed.size() * sizeof(int32_t);
  return result;
}

MaskPtr MaskMaker::mask(int32_t configuration) {
  MaskPtr& known = masks_[configuration];
  if (known != nullptr) return known;
  const auto V = static_cast<size_t>(vocabulary_.tokenizer().vocab_size());
  auto mask = std::make_shared<TokenMask>(V);
  // A copy, for the steps below add configurations.
  const auto all = configurations_.threads(configuration);
  std::vector<Configurations::Thread> threads(all.begin(), all.end());
  std::sort(threads.begin(), threads.end(), [](const auto& a, const auto& b) {
    return std::pair(a.frame, a.node) < std::pair(b.frame, b.node);
  });
  for (size_t begin = 0; begin < threads.size();) {
    size_t end = begin;
    while (end < threads.size() && threads[end].frame == threads[begin].frame) ++end;
    const int32_t frame = threads[begin].frame;
    const Local& inside = local(std::span(threads).subspan(begin, end - begin));
    mask->add(inside.inside);
    begin = end;
    if (frame == Configurations::kRoot) continue;  // nothing follows the first rule
    const int32_t behind = configurations_.behind(frame);
    for (const int32_t node : inside.crossed) {
      walk(
          node + 1, vocabulary_.end(node), behind, [&](int32_t token) { mask->set(token); },
          [](int32_t) {});
    }
  }
  if (configurations_.can_end(configuration)) {
    for (const int32_t token : vocabulary_.tokenizer().stop_ids()) mask->set(token);
  }
  bytes_ += V / 8;
  masks_[configuration] = mask;
  return mask;
}

}  // namespace corral::engine
