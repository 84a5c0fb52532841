// Pictures in a conversation: encoded once, cached by content, and part of what a cached prefix is.

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "engine/image_fixture.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using fixture::ImageSession;
using fixture::picture;

TEST_F(ImageSession, ASecondQuestionAboutAPictureCallsNoTower) {
  const std::string red = picture(8, 8, 255, 0, 0);
  const std::string blue = picture(8, 8, 0, 0, 255);
  const EncodedImagePtr first = encoder.encode(red, "a.bmp");
  EXPECT_EQ(encoder.tower_calls(), 1);
  EXPECT_EQ(encoder.encode(red, "another name.bmp"), first);
  EXPECT_EQ(encoder.tower_calls(), 1);
  EXPECT_NE(encoder.encode(blue, "a.bmp"), first);
  EXPECT_EQ(encoder.tower_calls(), 2);

  const corral::test::TempDir dir;
  write_file_atomically(dir.path() / "red.bmp", red);
  EXPECT_EQ(encoder.encode_file(dir.path() / "red.bmp"), first);
  EXPECT_EQ(encoder.tower_calls(), 2);
}

TEST_F(ImageSession, ForgetsThePictureUsedLongestAgoWhenThereIsNoRoom) {
  const std::string a = picture(8, 8, 1, 2, 3);
  const std::string b = picture(8, 8, 4, 5, 6);
  const std::string c = picture(8, 8, 7, 8, 9);
  const auto one = static_cast<int64_t>(a.size()) + encoder.encode(a, "a")->vectors_MW.size_bytes();
  ImageEncoder small(tower, {}, 2 * one + 100);  // and what else is noted of them
  small.encode(a, "a");
  small.encode(b, "b");
  small.encode(a, "a");
  small.encode(c, "c");  // b goes
  EXPECT_EQ(small.tower_calls(), 3);
  small.encode(a, "a");
  EXPECT_EQ(small.tower_calls(), 3);
  small.encode(b, "b");
  EXPECT_EQ(small.tower_calls(), 4);

  ImageEncoder tiny(tower, {}, 1);
  EXPECT_EQ(tiny.encode(a, "a"), tiny.encode(a, "a"));  // the newest always stays
}

TEST_F(ImageSession, LaysTheImageOutAsTheGridSays) {
  const EncodedImagePtr wide = encoder.encode(picture(16, 8, 9, 9, 9), "wide");
  EXPECT_EQ(wide->grid.rows, 1);
  EXPECT_EQ(wide->grid.columns, 2);
  EXPECT_EQ(wide->vectors_MW.dim(0), 12);  // two tiles and the whole, four vectors each
  const Prompt prompt = ask({picture(16, 8, 9, 9, 9)}, "?");
  EXPECT_EQ(std::count(prompt.tokens.begin(), prompt.tokens.end(), prompt.placeholder), 12);
}

// Piece by piece through the cache gives the bits of the whole sequence at once.
TEST_F(ImageSession, ThePiecesOfAPromptChangeNoBit) {
  const Prompt prompt = ask({picture(16, 8, 200, 10, 10), picture(8, 8, 0, 90, 0)}, "which?");
  Tensor wanted;
  for (const int64_t piece : {1000, 1, 7, 16}) {
    Session session(model, vocabulary, {}, piece);
    const Tensor logits = session.prefill(prompt);
    if (!wanted.defined()) wanted = logits;
    EXPECT_TRUE(corral::test::same_bits(wanted, logits)) << piece;
  }
}

// The tokens of two pictures are the same. A cache that compares tokens would answer the second
// question from the first picture.
TEST_F(ImageSession, AnotherPictureIsAnotherPrefix_FactsRow12) {
  const std::string red = picture(8, 8, 255, 0, 0);
  const Prompt about_red = ask({red}, "what is it?");
  const Prompt about_blue = ask({picture(8, 8, 0, 0, 255)}, "what is it?");
  ASSERT_EQ(about_red.tokens, about_blue.tokens);
  Session session(model, vocabulary);
  const Tensor red_logits = session.prefill(about_red);
  const Tensor blue_logits = session.prefill(about_blue);
  EXPECT_LT(session.reused_tokens(), static_cast<int64_t>(about_red.tokens.size()) - 15);
  EXPECT_TRUE(corral::test::same_bits(blue_logits, Session(model, vocabulary).prefill(about_blue)));
  EXPECT_FALSE(corral::test::same_bits(blue_logits, red_logits));

  // The same picture with another question reuses all that is equal.
  session.prefill(about_red);
  session.prefill(ask({red}, "what is that?"));
  EXPECT_GT(session.reused_tokens(), 15);
  EXPECT_EQ(encoder.tower_calls(), 2);
}

// Models that do not see answer fluently too.
TEST_F(ImageSession, OppositePicturesGiveDifferentAnswers_FactsRow25) {
  const auto logits = [&](const Prompt& prompt) {
    return Session(model, vocabulary).prefill(prompt);
  };
  const Tensor red = logits(ask({picture(8, 8, 255, 0, 0)}, "?"));
  const Tensor blue = logits(ask({picture(8, 8, 0, 0, 255)}, "?"));
  double apart = 0;
  for (int64_t i = 0; i < red.numel(); ++i) {
    apart = std::max(apart, std::abs(static_cast<double>(red.data<float>()[i]) -
                                     static_cast<double>(blue.data<float>()[i])));
  }
  EXPECT_GT(apart, 1e-2);
}

TEST_F(ImageSession, CountsPlaceholdersAndVectors) {
  Prompt prompt = ask({picture(8, 8, 1, 1, 1)}, "?");
  prompt.images.push_back(prompt.images.front());
  EXPECT_THAT([&] { prompt.identities(); },
              ThrowsMessage<UsageError>(HasSubstr("placeholders for 1 of 2 images")));
  prompt.images.resize(1);
  prompt.tokens.push_back(prompt.placeholder);
  EXPECT_THAT(
      [&] { prompt.identities(); },
      ThrowsMessage<UsageError>(HasSubstr("more placeholders than the vectors of 1 image")));
  prompt.images.clear();  // then it is a token like any other
  EXPECT_EQ(prompt.identities().back(), static_cast<uint64_t>(prompt.placeholder));
}

TEST_F(ImageSession, NamesAFileThatIsNoPicture) {
  EXPECT_THAT([&] { encoder.encode("not a picture", "x.jpg"); },
              ThrowsMessage<Error>(HasSubstr("x.jpg")));
  EXPECT_EQ(encoder.tower_calls(), 0);
}

}  // namespace
}  // namespace corral::engine
