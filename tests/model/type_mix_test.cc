#include "model/type_mix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "io/gguf.h"
#include "model/gguf_checkpoint.h"
#include "model/tiny_model.h"
#include "quant/dense.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace corral::model {
namespace {

using test::block_config;
using test::relative_error;

class SavedMix : public ::testing::Test {
 protected:
  io::GgufFile save(const TextModel& model, const std::string& type) {
    GgufOptions options;
    options.mix = TypeMix::parse(type);
    options.note = [this](const std::string& line) { notes.push_back(line); };
    save_gguf(dir.path() / "m.gguf", model.config(), model.weights(), nullptr, options);
    return io::GgufFile(dir.path() / "m.gguf");
  }

  test::TempDir dir;
  DevicePtr device = Device::cpu();
  std::vector<std::string> notes;
};

TEST_F(SavedMix, QuantizesEveryMatrixOfEveryStackOfExperts_FactsRow1A) {
  const TextModel model = test::tiny_model(block_config(), device);
  const Config& c = model.config();
  for (const auto& [type, bits] : std::vector<std::pair<std::string, double>>{
           {"q2_k", 2.625}, {"q4_k", 4.5}, {"iq4_xs", 4.25}, {"mxfp4", 4.25}}) {
    const io::GgufFile file = save(model, type);
    for (const char* name : {"blk.0.ffn_gate_exps.weight", "blk.0.ffn_down_exps.weight"}) {
      const io::TensorInfo& info = file.info(name);
      EXPECT_EQ(info.dtype, parse_dtype(type));
      EXPECT_EQ(
          static_cast<double>(info.size_bytes),
          static_cast<double>(c.num_local_experts * c.hidden_size * c.intermediate_size) * bits / 8)
          << type;
      const auto stack = quant::LinearWeight::out_in(file.get(name, device));
      const MlpWeights& experts = model.weights().layers[0].moe->experts;
      const auto& exact =
          name == std::string("blk.0.ffn_gate_exps.weight") ? experts.gate : experts.down;
      for (int64_t e = 0; e < c.num_local_experts; ++e) {
        EXPECT_LT(relative_error(quant::dense_f32(exact, e), quant::dense_f32(stack, e)),
                  type == "q2_k" ? 0.3 : 0.16)
            << type << " expert " << e;
      }
    }
    EXPECT_EQ(file.info("blk.0.ffn_gate_inp.weight").dtype, DType::kF32);
    EXPECT_EQ(file.info("blk.0.attn_norm.weight").dtype, DType::kF32);
    EXPECT_EQ(notes, std::vector<std::string>{}) << type;
  }
}

TEST_F(SavedMix, KeepsWhatEveryTokenReadsBetterThanRoutedExperts) {
  const io::GgufFile file = save(test::tiny_model(block_config(), device), "mix4");
  for (const char* name :
       {"blk.0.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight", "blk.0.ffn_down_exps.weight"}) {
    EXPECT_EQ(file.info(name).dtype, DType::kQ4_K) << name;
  }
  for (const char* name :
       {"token_embd.weight", "output.weight", "blk.0.attn_q.weight", "blk.0.attn_output.weight",
        "blk.0.ffn_gate_shexp.weight", "blk.0.ffn_down_shexp.weight"}) {
    EXPECT_EQ(file.info(name).dtype, DType::kQ6_K) << name;
  }
  EXPECT_EQ(file.file_type_name(), "Q4_K_M");
}

TEST_F(SavedMix, StoresRowsThatAreNoWholeBlocksInTheNextWiderTypeAndSaysSo) {
  Config c = block_config();
  c.intermediate_size = 96;
  c.normalise();
  const TextModel model = test::tiny_model(c, device);
  for (const auto& [type, instead] :
       std::vector<std::pair<std::string, DType>>{{"q2_k", DType::kIQ4_NL},
                                                  {"q3_k", DType::kIQ4_NL},
                                                  {"iq4_xs", DType::kIQ4_NL},
                                                  {"q4_k", DType::kQ5_0},
                                                  {"q5_k", DType::kQ5_1},
                                                  {"q6_k", DType::kQ8_0}}) {
    notes.clear();
    const io::GgufFile file = save(model, type);
    EXPECT_EQ(file.info("blk.0.ffn_down_exps.weight").dtype, instead) << type;
    EXPECT_EQ(file.info("blk.0.ffn_gate_exps.weight").dtype, parse_dtype(type));
    ASSERT_EQ(notes.size(), 1);
    EXPECT_THAT(notes[0], ::testing::HasSubstr("blk.0.ffn_down_exps.weight and "));
    EXPECT_THAT(notes[0], ::testing::HasSubstr(str("whole blocks of ", type, " are stored as ",
                                                   dtype_name(instead))));
  }
}

TEST_F(SavedMix, IsTheSameFileAfterAKilledAttempt) {
  const TextModel model = test::tiny_model(block_config(), device);
  save(model, "mix4");
  const auto path = dir.path() / "m.gguf";
  const std::string undisturbed = read_file(path);
  std::filesystem::remove(path);
  // What a killed writer leaves behind, here longer than the whole.
  write_file_atomically(dir.path() / "m.gguf.partial", undisturbed + undisturbed);
  save(model, "mix4");
  EXPECT_EQ(read_file(path), undisturbed);
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "m.gguf.partial"));
}

TEST(TypeMix, NamesAreTypesAndMixes) {
  EXPECT_EQ(TypeMix::parse("q5_k").routed, DType::kQ5_K);
  EXPECT_EQ(TypeMix::parse("q5_k").lookups, DType::kQ5_K);
  EXPECT_EQ(TypeMix::parse("mix4").name, "mix4");
  EXPECT_THROW(TypeMix::parse("i32"), UsageError);
  EXPECT_THROW(TypeMix::parse("mix5"), UsageError);
}

}  // namespace
}  // namespace corral::model
