#include "engine/speculation/lookup_draft.h"

#include <gmock/gmock.h>

namespace corral::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Sampler kSampler{SamplingOptions{}};
constexpr DraftLengths kFour = {4, 4, 4, 4};

TEST(LookupDraft, GoesOnAsTheTextDidBefore) {
  LookupDraft lookup;
  const std::vector<int32_t> text = {1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4};
  EXPECT_THAT(lookup.propose(text, kFour, kSampler).tokens, ElementsAre(5, 6, 7, 8));
}

TEST(LookupDraft, HasNoGuessWithoutThreeTokensInCommon) {
  LookupDraft lookup;
  for (const std::vector<int32_t>& text :
       {std::vector<int32_t>{}, {1}, {1, 1}, {1, 2, 3}, {1, 2, 3, 9, 2, 3}, {1, 2, 3, 4, 1, 2}}) {
    const Draft draft = lookup.propose(text, kFour, kSampler);
    EXPECT_THAT(draft.tokens, IsEmpty());
    EXPECT_EQ(draft.confidence, -1);
  }
}

TEST(LookupDraft, PrefersThePlaceWithMoreInCommonToALaterOne) {
  LookupDraft lookup;
  const std::vector<int32_t> text = {9, 8, 1, 2, 3, 50, 0, 0, 7, 1, 2, 3, 60, 9, 8, 1, 2, 3};
  EXPECT_EQ(lookup.propose(text, kFour, kSampler).tokens.front(), 50);
}

TEST(LookupDraft, PrefersTheLaterOfEqualPlaces) {
  LookupDraft lookup;
  const std::vector<int32_t> text = {1, 2, 3, 50, 0, 1, 2, 3, 60, 4, 1, 2, 3};
  EXPECT_EQ(lookup.propose(text, kFour, kSampler).tokens.front(), 60);
}

TEST(LookupDraft, CarriesOnWhatRepeatsWithoutEnd) {
  LookupDraft lookup;
  const std::vector<int32_t> text = {5, 6, 7, 5, 6, 7, 5};
  EXPECT_THAT(lookup.propose(text, {7, 7, 7, 7}, kSampler).tokens,
              ElementsAre(6, 7, 5, 6, 7, 5, 6));
}

TEST(LookupDraft, TrustsLongMatchesMore) {
  std::vector<int32_t> text;
  for (int32_t i = 0; i < 40; ++i) text.push_back(i);
  std::vector<int> confidences;
  for (const size_t repeated : {3u, 6u, 12u, 30u}) {
    LookupDraft lookup;
    std::vector<int32_t> again = text;
    again.insert(again.end(), text.begin() + 5, text.begin() + 5 + static_cast<int>(repeated));
    const Draft draft = lookup.propose(again, {1, 2, 3, 4}, kSampler);
    confidences.push_back(draft.confidence);
    EXPECT_EQ(draft.tokens.size(), static_cast<size_t>(draft.confidence) + 1);
  }
  EXPECT_THAT(confidences, ElementsAre(0, 1, 2, 3));
}

TEST(LookupDraft, ForgetsATextThatItDoesNotGoOnFrom) {
  LookupDraft lookup;
  const std::vector<int32_t> first = {1, 2, 3, 4, 5, 1, 2, 3};
  EXPECT_EQ(lookup.propose(first, kFour, kSampler).tokens.front(), 4);
  const std::vector<int32_t> other = {1, 2, 3, 6, 5, 1, 2, 3};
  EXPECT_EQ(lookup.propose(other, kFour, kSampler).tokens.front(), 6);
  EXPECT_EQ(lookup.propose(first, kFour, kSampler).tokens.front(), 4);
}

TEST(LookupDraft, IndexesWhatWasAddedSinceTheLastGuess) {
  LookupDraft lookup;
  std::vector<int32_t> text = {1, 2, 3, 4};
  EXPECT_THAT(lookup.propose(text, kFour, kSampler).tokens, IsEmpty());
  for (const int32_t token : {8, 9, 10, 2, 3, 4}) text.push_back(token);
  EXPECT_THAT(lookup.propose(text, kFour, kSampler).tokens, ElementsAre(8, 9, 10, 2));
}

}  // namespace
}  // namespace corral::engine
