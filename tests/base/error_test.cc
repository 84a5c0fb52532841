#include "base/error.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace corral {
namespace {

TEST(Str, JoinsWhateverPrints) {
  EXPECT_EQ(str("w is [", 7, "], x needs ", 2.5, 'x', std::string(" or more")),
            "w is [7], x needs 2.5x or more");
}

TEST(Error, KeepsItsMessage) {
  EXPECT_STREQ(CorruptFile("model.gguf: truncated").what(), "model.gguf: truncated");
}

template <class E>
class ErrorKinds : public ::testing::Test {};
using Kinds = ::testing::Types<ShapeError, NotSupported, IoError, CorruptFile, UsageError>;
TYPED_TEST_SUITE(ErrorKinds, Kinds);

TYPED_TEST(ErrorKinds, AreCaughtAsErrorAndAsThemselves) {
  EXPECT_THROW(throw TypeParam("x"), TypeParam);
  EXPECT_THROW(throw TypeParam("x"), Error);
  EXPECT_THROW(throw TypeParam("x"), std::runtime_error);
}

}  // namespace
}  // namespace corral
