#include "model/importance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "kv/batch.h"
#include "model/gguf_checkpoint.h"
#include "model/tiny_model.h"
#include "quant/dense.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

using testing::HasSubstr;

class ImportanceTest : public testing::Test {
 protected:
  Importance collect(const TextModel& from, int64_t tokens) const {
    ImportanceCollector collector(from);
    kv::Batch batch;
    const auto ids = test::some_tokens(tokens, config.vocab_size);
    batch.append(ids, 0);
    ForwardOptions options;
    options.inputs = &collector;
    from.hidden(batch, options);
    return collector.importance;
  }
  std::string message(const std::filesystem::path& path) const {
    try {
      load_importance(path);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "no error";
  }

  test::TempDir dir;
  DevicePtr device = test::test_device();
  Config config = test::tiny_config();
  TextModel model = test::tiny_model(config, device);
};

TEST_F(ImportanceTest, CountsEveryRowWhereItGoes) {
  const Importance importance = collect(model, 24);
  double routed = 0;
  for (const double count : importance.entries.at("blk.1.ffn_down_exps.weight").counts) {
    routed += count;
  }
  EXPECT_EQ(routed, 24);
  EXPECT_EQ(importance.entries.at("blk.0.attn_q.weight").counts, std::vector<double>{24});
  EXPECT_EQ(importance.entries.at("blk.0.attn_q.weight").sums,
            importance.entries.at("blk.0.attn_v.weight").sums);
  EXPECT_NE(importance.entries.at("blk.0.attn_q.weight").sums,
            importance.entries.at("blk.1.attn_q.weight").sums);
}

TEST_F(ImportanceTest, IsTheMeanSquareOfTheInput) {
  // After a norm with weights 1 the mean square over a row is 1.
  const Importance importance = collect(model, 24);
  const auto columns = importance.columns("blk.0.attn_q.weight", 0, {80, 80});
  double sum = 0;
  for (const float value : columns) sum += static_cast<double>(value);
  EXPECT_NEAR(sum, 80, 0.1);
}

TEST_F(ImportanceTest, IsTheSameForAnyThreads) {
  const auto one = test::test_device(simd::detect_isa(), 1);
  const Importance a = collect(test::tiny_model(config, one), 40);
  const Importance b = collect(model, 40);
  for (const auto& [name, entry] : a.entries)
    EXPECT_EQ(entry.sums, b.entries.at(name).sums) << name;
}

TEST_F(ImportanceTest, AnExpertThatSawNothingTakesTheMeanOfTheOthers) {
  Importance importance;
  importance.entries["w"] = {2, {2, 4, 0, 0, 6, 8}, {1, 0, 1}};
  EXPECT_EQ(importance.columns("w", 0, {3, 5, 2}), (std::vector<float>{2, 4}));
  EXPECT_EQ(importance.columns("w", 1, {3, 5, 2}), (std::vector<float>{4, 6}));
  EXPECT_TRUE(importance.columns("v", 1, {3, 5, 2}).empty());
  EXPECT_THROW(importance.columns("w", 0, {2, 5, 2}), UsageError);
  EXPECT_THROW(importance.columns("w", 0, {3, 5, 4}), UsageError);
}

TEST_F(ImportanceTest, FileGivesBackWhatWasCollected) {
  Importance importance = collect(model, 30);
  importance.tokens = 30;
  importance.datasets = {"talk.txt"};
  save_importance(dir.path() / "i.gguf", importance);
  const Importance read = load_importance(dir.path() / "i.gguf");
  ASSERT_EQ(read.entries.size(), importance.entries.size());
  for (const auto& [name, entry] : importance.entries) {
    EXPECT_EQ(read.entries.at(name).counts, entry.counts) << name;
    EXPECT_EQ(read.entries.at(name).columns, entry.columns) << name;
    for (size_t i = 0; i < entry.sums.size(); ++i) {
      EXPECT_FLOAT_EQ(static_cast<float>(read.entries.at(name).sums[i]),
                      static_cast<float>(entry.sums[i]));
    }
  }
  const io::GgufFile file(dir.path() / "i.gguf");
  EXPECT_EQ(file.get_string("general.type"), "imatrix");
  EXPECT_EQ(file.get_uint("imatrix.chunk_count"), 1);
}

// A column that counts for much comes out nearer, at the expense of the others.
TEST_F(ImportanceTest, GuidesTheQuantizer) {
  Importance importance;
  for (const GgufMatrix& matrix : gguf_matrices(config, model.weights())) {
    auto& entry = importance.entries[matrix.name];
    entry.columns = matrix.weight->in_features;
    const auto count = static_cast<size_t>(matrix.weight->count);
    entry.sums.assign(count * static_cast<size_t>(entry.columns), 0.01);
    entry.counts.assign(count, 1);
    for (size_t e = 0; e < count; ++e) entry.sums[e * static_cast<size_t>(entry.columns) + 7] = 100;
  }
  const auto error_of = [&](const Importance* given) {
    GgufOptions options{.dtype = DType::kIQ4_NL, .importance = given};
    save_gguf(dir.path() / "m.gguf", config, model.weights(), nullptr, options);
    const io::GgufFile file(dir.path() / "m.gguf");
    const Tensor found = quant::dense_f32(
        quant::LinearWeight::out_in(file.get("blk.0.ffn_down_exps.weight", device)), 2);
    const Tensor exact = quant::dense_f32(model.weights().layers[0].moe->experts.down, 2);
    double error = 0;
    for (int64_t row = 0; row < exact.dim(0); ++row) {
      const int64_t i = row * exact.dim(1) + 7;
      error += std::pow(static_cast<double>(found.data<float>()[i] - exact.data<float>()[i]), 2);
    }
    return error;
  };
  EXPECT_LT(error_of(&importance), 0.1 * error_of(nullptr));
}

TEST_F(ImportanceTest, OfAnotherModelIsRefusedBeforeAnythingIsWritten) {
  Importance importance = collect(model, 8);
  importance.entries.at("blk.3.attn_output.weight").columns = 16;
  GgufOptions options{.dtype = DType::kIQ4_NL, .importance = &importance};
  EXPECT_THROW(save_gguf(dir.path() / "m.gguf", config, model.weights(), nullptr, options),
               UsageError);
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "m.gguf"));
}

TEST_F(ImportanceTest, DamageIsOneLine) {
  const auto path = dir.path() / "i.gguf";
  const auto write = [&](const char* type, const char* counts, std::vector<float> sums) {
    io::GgufMetadata metadata;
    metadata.set_string("general.type", type);
    io::GgufWriter writer(path, std::move(metadata));
    const auto n = static_cast<int64_t>(sums.size());
    writer.declare("w.in_sum2", DType::kF32, {n});
    writer.declare(counts, DType::kF32, {2});
    writer.write("w.in_sum2", Tensor::from(sums, {n}, device));
    writer.write(counts, Tensor::from(std::vector<float>{1, 2}, {2}, device));
    writer.finish();
    return message(path);
  };
  EXPECT_THAT(write("model", "w.counts", {1, 2}), HasSubstr("no file of importances"));
  EXPECT_THAT(write("imatrix", "v.counts", {1, 2}), HasSubstr("w.counts is missing"));
  EXPECT_THAT(write("imatrix", "w.counts", {1, 2, 3}), HasSubstr("its 2 counts"));
  EXPECT_THAT(write("imatrix", "w.counts", {1, -2}), HasSubstr("numbers from 0 on"));
  EXPECT_EQ(write("imatrix", "w.counts", {1, 2}), "no error");
}

}  // namespace
}  // namespace corral::model
