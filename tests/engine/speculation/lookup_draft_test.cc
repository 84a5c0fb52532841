#include "engine/speculation/lookup_draft.h"

#include <gmock/gmock.h>

#include <numeric>

namespace corral::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The guess of at most so many tokens.
Draft guess(LookupDraft& lookup, const std::vector<int32_t>& tokens, int64_t length = 4,
            int64_t key = 0) {
  const DraftText text{.key = key, .tokens = tokens};
  const int confidence = lookup.look({&text, 1}).front();
  DraftSource::Proposal proposal = lookup.propose({&text, 1}, {&length, 1});
  EXPECT_FALSE(proposal.caught_up);
  return {.tokens = std::move(proposal.tokens.front()), .confidence = confidence};
}

TEST(LookupDraft, GoesOnAsTheTextDidBefore) {
  LookupDraft lookup;
  const std::vector<int32_t> text = {1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4};
  EXPECT_THAT(guess(lookup, text).tokens, ElementsAre(5, 6, 7, 8));
}

TEST(LookupDraft, HasNoGuessWithoutThreeTokensInCommon) {
  LookupDraft lookup;
  for (const std::vector<int32_t>& text :
       {std::vector<int32_t>{}, {1}, {1, 1}, {1, 2, 3}, {1, 2, 3, 9, 2, 3}, {1, 2, 3, 4, 1, 2}}) {
    const Draft draft = guess(lookup, text);
    EXPECT_THAT(draft.tokens, IsEmpty());
    EXPECT_EQ(draft.confidence, kNoGuess);
  }
}

TEST(LookupDraft, PrefersThePlaceWithMoreInCommonToALaterOne) {
  LookupDraft lookup;
  const std::vector<int32_t> text = {9, 8, 1, 2, 3, 50, 0, 0, 7, 1, 2, 3, 60, 9, 8, 1, 2, 3};
  EXPECT_EQ(guess(lookup, text).tokens.front(), 50);
}

TEST(LookupDraft, PrefersTheLaterOfEqualPlaces) {
  LookupDraft lookup;
  const std::vector<int32_t> text = {1, 2, 3, 50, 0, 1, 2, 3, 60, 4, 1, 2, 3};
  EXPECT_EQ(guess(lookup, text).tokens.front(), 60);
}

TEST(LookupDraft, CarriesOnWhatRepeatsWithoutEnd) {
  LookupDraft lookup;
  const std::vector<int32_t> text = {5, 6, 7, 5, 6, 7, 5};
  EXPECT_THAT(guess(lookup, text, 7).tokens, ElementsAre(6, 7, 5, 6, 7, 5, 6));
}

TEST(LookupDraft, TrustsLongMatchesMore) {
  std::vector<int32_t> text;
  for (int32_t i = 0; i < 40; ++i) text.push_back(i);
  std::vector<int> confidences;
  for (const size_t repeated : {3u, 6u, 12u, 30u}) {
    LookupDraft lookup;
    std::vector<int32_t> again = text;
    again.insert(again.end(), text.begin() + 5, text.begin() + 5 + static_cast<int>(repeated));
    confidences.push_back(guess(lookup, again).confidence);
  }
  EXPECT_THAT(confidences, ElementsAre(0, 1, 2, 3));
}

TEST(LookupDraft, ForgetsATextThatItDoesNotGoOnFrom) {
  LookupDraft lookup;
  const std::vector<int32_t> first = {1, 2, 3, 4, 5, 1, 2, 3};
  EXPECT_EQ(guess(lookup, first).tokens.front(), 4);
  const std::vector<int32_t> other = {1, 2, 3, 6, 5, 1, 2, 3};
  EXPECT_EQ(guess(lookup, other).tokens.front(), 6);
  EXPECT_EQ(guess(lookup, first).tokens.front(), 4);
}

TEST(LookupDraft, IndexesWhatWasAddedSinceTheLastGuess) {
  LookupDraft lookup;
  std::vector<int32_t> text = {1, 2, 3, 4};
  EXPECT_THAT(guess(lookup, text).tokens, IsEmpty());
  for (const int32_t token : {8, 9, 10, 2, 3, 4}) text.push_back(token);
  EXPECT_THAT(guess(lookup, text).tokens, ElementsAre(8, 9, 10, 2));
}

TEST(LookupDraft, FindsWhatIsExpectedFromItsFirstTokenOn) {
  LookupDraft lookup;
  const std::vector<int32_t> expected = {8, 9, 20, 21, 22, 23, 24, 25};  // behind 8, 9
  std::vector<int32_t> text = {1, 2, 8, 9};
  const int64_t length = 3;
  const auto next = [&] {
    const DraftText one{.key = 3, .tokens = text, .expected = expected};
    lookup.look({&one, 1});
    return lookup.propose({&one, 1}, {&length, 1}).tokens.front();
  };
  text.push_back(20);
  EXPECT_THAT(next(), ElementsAre(21, 22, 23));
  text.insert(text.end(), {21, 22, 7, 7});  // another word
  EXPECT_THAT(next(), IsEmpty());
  text.insert(text.end(), {23, 24});
  EXPECT_THAT(next(), IsEmpty());
  text.insert(text.end(), {22, 23, 24});
  EXPECT_THAT(next(), ElementsAre(25, 1, 2));
}

TEST(LookupDraft, IndexesALongTextInPiecesAndGuessesThen) {
  // No gram comes twice, but for the end: 0, 1, 2, ... and the beginning again.
  const auto ascending = [](size_t length) {
    std::vector<int32_t> tokens(length);
    std::iota(tokens.begin(), tokens.end(), 0);
    return tokens;
  };
  for (const bool is_expected : {false, true}) {
    std::vector<int32_t> text = ascending(is_expected ? 5 : 2 * LookupDraft::kMostNew);
    const std::vector<int32_t> expected = ascending(is_expected ? 2 * LookupDraft::kMostNew : 0);
    if (!is_expected) text.insert(text.end(), text.begin(), text.begin() + 5);
    const DraftText one{.key = 1, .tokens = text, .expected = expected};
    LookupDraft lookup;
    EXPECT_EQ(lookup.look({&one, 1}).front(), kNoGuess);
    EXPECT_EQ(lookup.look({&one, 1}).front(), kNoGuess);
    EXPECT_NE(lookup.look({&one, 1}).front(), kNoGuess);
    const int64_t length = 2;
    EXPECT_THAT(lookup.propose({&one, 1}, {&length, 1}).tokens.front(), ElementsAre(5, 6));
  }
}

TEST(LookupDraft, KeepsTextsApart) {
  LookupDraft lookup;
  const std::vector<int32_t> first = {1, 2, 3, 4, 5, 1, 2, 3};
  const std::vector<int32_t> other = {1, 2, 3, 6, 5, 1, 2, 3};
  const std::vector<int32_t> third = {1, 2, 3};
  const std::vector<DraftText> texts = {
      {.key = 4, .tokens = first}, {.key = 9, .tokens = third}, {.key = 2, .tokens = other}};
  const std::vector<int64_t> lengths = {2, 2, 0};
  EXPECT_THAT(lookup.look(texts), ElementsAre(0, kNoGuess, 0));
  EXPECT_THAT(lookup.propose(texts, lengths).tokens,
              ElementsAre(ElementsAre(4, 5), IsEmpty(), IsEmpty()));
  lookup.forget(4);
  lookup.forget(77);  // never seen
  EXPECT_EQ(guess(lookup, other, 4, 2).tokens.front(), 6);
  EXPECT_THAT(guess(lookup, third, 4, 4).tokens, IsEmpty());
}

}  // namespace
}  // namespace corral::engine
