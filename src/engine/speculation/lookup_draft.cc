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

// The first of some tokens, and how many may still come. before[end] belongs to the gram whose last
// token is end - 1.
void LookupDraft::Index::append(std::span<const int32_t> more, size_t& most) {
  more = more.first(std::min(more.size(), most));
  most -= more.size();
  size_t end = std::max(tokens.size() + 1, kGram);
  tokens.insert(tokens.end(), more.begin(), more.end());
  before.resize(tokens.size() + 1, kNowhere);
  for (; end <= tokens.size(); ++end) {
    size_t& latest = last[hash_of(tokens.data() + end - kGram)];
    before[end] = latest;
    latest = end;
  }
}

// A text that does not go on from the indexed one (another conversation) is indexed anew. True when
// all of it is indexed.
bool LookupDraft::Index::follow(const DraftText& text) {
  const auto own = std::span(tokens).subspan(std::min(expected, tokens.size()));
  const bool goes_on = expected == text.expected.size() && text.tokens.size() >= own.size() &&
                       std::equal(own.begin(), own.end(), text.tokens.begin());
  if (!goes_on) *this = {};
  expected = text.expected.size();
  size_t most = kMostNew;
  append(text.expected.subspan(std::min(expected, tokens.size())), most);
  if (tokens.size() < expected) return false;
  append(text.tokens.subspan(tokens.size() - expected), most);
  return tokens.size() == expected + text.tokens.size();
}

// The best place, and how much it is to be trusted.
int LookupDraft::Index::find() {
  match_end = kNowhere;
  size_t match = kGram - 1;
  size_t place = before[tokens.size()];
  for (int i = 0; i < kMostPlaces && place != kNowhere && match < kLongMatch; ++i) {
    const size_t length = common_end(tokens, place, tokens.size());
    if (length > match) {
      match = length;
      match_end = place;
    }
    place = before[place];
  }
  return match_end == kNowhere ? kNoGuess : confidence_of(match);
}

std::vector<int> LookupDraft::look(std::span<const DraftText> texts) {
  std::vector<int> confidences;
  for (const DraftText& text : texts) {
    Index& index = indices_[text.key];
    confidences.push_back(index.follow(text) ? index.find() : kNoGuess);
  }
  return confidences;
}

DraftSource::Proposal LookupDraft::propose(std::span<const DraftText> texts,
                                           std::span<const int64_t> lengths) {
  Proposal proposal;
  for (size_t i = 0; i < texts.size(); ++i) {
    const Index& index = indices_.at(texts[i].key);
    const std::vector<int32_t>& known = index.tokens;
    std::vector<int32_t>& draft = proposal.tokens.emplace_back();
    if (index.match_end == kNowhere) continue;
    // A match close to the end runs into the guess itself: then the text is taken to repeat.
    for (size_t from = index.match_end; std::ssize(draft) < lengths[i]; ++from) {
      draft.push_back(from < known.size() ? known[from] : draft[from - known.size()]);
    }
  }
  return proposal;
}

}  // namespace corral::engine
