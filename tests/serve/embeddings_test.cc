#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "autograd/tape.h"
#include "base/encoding.h"
#include "serve/server_fixture.h"

namespace corral::serve {
namespace {

using nlohmann::json;
using test::Reply;
using ::testing::HasSubstr;

class Embeddings : public test::ServerTest {
 protected:
  // The same of the model alone.
  std::vector<double> expected(const std::vector<int32_t>& tokens, bool mean) const {
    kv::Batch batch;
    batch.append(tokens, 0);
    const autograd::NoGrad no_grad;
    const Tensor hidden_TD = model.hidden(batch);
    const auto D = static_cast<size_t>(hidden_TD.dim(1));
    std::vector<double> sum(D, 0);
    for (size_t row = mean ? 0 : tokens.size() - 1; row < tokens.size(); ++row) {
      for (size_t d = 0; d < D; ++d) sum[d] += hidden_TD.values<float>()[row * D + d];
    }
    double square = 0;
    for (const double value : sum) square += value * value;
    for (double& value : sum) value /= std::sqrt(square);
    return sum;
  }
  static void expect_near(const json& given, const std::vector<double>& wanted) {
    ASSERT_EQ(given.size(), wanted.size());
    for (size_t d = 0; d < wanted.size(); ++d) EXPECT_NEAR(given[d], wanted[d], 1e-6) << d;
  }
};

TEST_F(Embeddings, AreTheNormalisedMeanOrTheLastHiddenState) {
  start();
  const std::vector<int32_t> tokens = {5, 17, 99, 200};
  const Reply mean = post("/v1/embeddings", {{"input", tokens}});
  ASSERT_EQ(mean.status, 200) << mean.body;
  expect_near(mean.json()["data"][0]["embedding"], expected(tokens, true));
  EXPECT_EQ(mean.json()["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(mean.json()["usage"]["total_tokens"], 4);
  const Reply last = post("/v1/embeddings", {{"input", {tokens}}, {"pooling", "last"}});
  expect_near(last.json()["data"][0]["embedding"], expected(tokens, false));
}

TEST_F(Embeddings, OfManyTextsComeInTheirOrder) {
  start();
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) texts.push_back("text " + std::to_string(i));
  const Reply reply = post("/v1/embeddings", {{"input", texts}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json data = reply.json()["data"];
  ASSERT_EQ(data.size(), texts.size());
  for (const size_t i : {0u, 17u, 150u, 299u}) {
    EXPECT_EQ(data[i]["index"], i);
    EXPECT_EQ(data[i]["embedding"],
              post("/v1/embeddings", {{"input", texts[i]}}).json()["data"][0]["embedding"]);
  }
}

TEST_F(Embeddings, InBase64AreTheSameNumbers) {
  start();
  const json plain = post("/v1/embeddings", {{"input", "hello"}}).json()["data"][0]["embedding"];
  const json coded =
      post("/v1/embeddings", {{"input", "hello"}, {"encoding_format", "base64"}}).json();
  const auto bytes = base64_decode(coded["data"][0]["embedding"].get<std::string>());
  ASSERT_TRUE(bytes.has_value());
  ASSERT_EQ(bytes->size(), plain.size() * sizeof(float));
  for (size_t d = 0; d < plain.size(); ++d) {
    float value = 0;
    std::memcpy(&value, bytes->data() + d * sizeof value, sizeof value);
    EXPECT_EQ(value, plain[d].get<float>());
  }
}

TEST_F(Embeddings, NameWhatIsWrong) {
  start();
  const auto refused = [&](const json& body) -> std::string {
    const Reply reply = post("/v1/embeddings", body);
    EXPECT_EQ(reply.status, 400) << reply.body;
    return reply.json()["error"]["message"];
  };
  EXPECT_THAT(refused({{"input", "x"}, {"dimensions", 3}}), HasSubstr("dimensions can only be"));
  EXPECT_THAT(refused({{"input", "x"}, {"dimensions", 0}}), HasSubstr("dimensions is 0"));
  EXPECT_THAT(refused({{"input", json::array()}}), HasSubstr("input is neither"));
  EXPECT_THAT(refused({{"input", {264}}}), HasSubstr("token 264"));
  EXPECT_THAT(refused({{"input", std::vector<std::string>(2049, "x")}}), HasSubstr("2049 parts"));
  EXPECT_THAT(refused({{"input", "x"}, {"pooling", "max"}}), HasSubstr("pooling"));
  EXPECT_THAT(refused({{"input", "x"}, {"encoding_format", "hex"}}), HasSubstr("encoding_format"));
  EXPECT_THAT(refused({{"input", "x"}, {"temperature", 1}}), HasSubstr("Unknown parameter"));
  EXPECT_THAT(refused({{"input", std::string(5000, 'x')}}), HasSubstr("5001 tokens"));
}

}  // namespace
}  // namespace corral::serve
