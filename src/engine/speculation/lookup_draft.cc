#include "engine/speculation/lookup_draft.h"

#include <algorithm>

namespace corral::engine {
namespace {

constexpr size_t kNowhere = 0;
// Places that are compared: the latest. Text that repeats one gram without end stays cheap.
constexpr int kMostPlaces = 32;
// Tokens in common beyond which a match is as good as any.
constexpr size_t kLongMatch = 32;

uint64_t hash_of(const int32_t* gram) {
  uint64_t hash = 0;
  for (size_t i = 0; i < LookupDraft::kGram; ++i) {
    hash = (hash ^ static_cast<uint32_t>(gram[i])) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash;
}

// Tokens that [0, a) and [0, b) have in common at their ends, at most kLongMatch.
size_t common_end(std::span<const int32_t> tokens, size_t a, size_t b) {
  size_t length = 0;
  while (length < std::min({a, b, kLongMatch}) &&
         tokens[a - 1 - length] == tokens[b - 1 - length]) {
    ++length;
  }
  return length;
}

int confidence_of(size_t match) { return match < 5 ? 0 : match < 10 ? 1 : match < 24 ? 2 : 3; }

}  // namespace

// before_[end] belongs to the gram whose last token is end - 1. A text that does not go on from the
// indexed one (another conversation) is indexed anew.
void LookupDraft::index(std::span<const int32_t> context) {
  const bool goes_on = context.size() >= tokens_.size() &&
                       std::equal(tokens_.begin(), tokens_.end(), context.begin());
  if (!goes_on) {
    tokens_.clear();
    last_.clear();
    before_.clear();
  }
  before_.resize(context.size() + 1, kNowhere);
  const size_t first = std::max(tokens_.size() + 1, kGram);
  for (size_t end = first; end <= context.size(); ++end) {
    size_t& last = last_[hash_of(context.data() + end - kGram)];
    before_[end] = last;
    last = end;
  }
  tokens_.insert(tokens_.end(), context.begin() + static_cast<ptrdiff_t>(tokens_.size()),
                 context.end());
}

Draft LookupDraft::propose(std::span<const int32_t> context, const DraftLengths& wanted,
                           const Sampler&) {
  index(context);
  const size_t T = context.size();
  if (T <= kGram) return {};
  size_t best = kNowhere;
  size_t match = kGram - 1;
  size_t place = before_[T];
  for (int i = 0; i < kMostPlaces && place != kNowhere && match < kLongMatch; ++i) {
    const size_t length = common_end(context, place, T);
    if (length > match) {
      match = length;
      best = place;
    }
    place = before_[place];
  }
  if (best == kNowhere) return {};
  Draft draft{.tokens = {}, .confidence = confidence_of(match)};
  // A match close to the end runs into the guess itself: then the text is taken to repeat.
  for (int64_t i = 0; i < wanted[static_cast<size_t>(draft.confidence)]; ++i) {
    const size_t from = best + static_cast<size_t>(i);
    draft.tokens.push_back(from < T ? context[from] : draft.tokens[from - T]);
  }
  return draft;
}

}  // namespace corral::engine
