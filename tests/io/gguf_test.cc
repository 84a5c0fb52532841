#include "io/gguf.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "io/convert_dtype.h"
#include "io/gguf_writer.h"
#include "io/support.h"
#include "quant/dense.h"
#include "support/blocks.h"
#include "support/paths.h"

namespace corral::io {
namespace {

using test::randn;
using test::same_bits;
using test::TempDir;
using test::test_device;
using testing::ElementsAre;
using testing::HasSubstr;

GgufMetadata all_kinds() {
  GgufMetadata m;
  m.set_u8("u8", 255);
  m.set_i8("i8", -128);
  m.set_u16("u16", 65535);
  m.set_i16("i16", -32768);
  m.set_u32("u32", 4294967295);
  m.set_i32("i32", -2147483648);
  m.set_u64("u64", std::numeric_limits<uint64_t>::max());
  m.set_i64("i64", std::numeric_limits<int64_t>::min());
  m.set_f32("f32", 0.1f);
  m.set_f64("f64", 0.1);
  m.set_bool("yes", true);
  m.set_bool("no", false);
  m.set_string("text", std::string("caf\xc3\xa9\0!", 7));
  m.set_array("u8s", std::vector<uint8_t>{0, 255});
  m.set_array("i8s", std::vector<int8_t>{-128, 127});
  m.set_array("u16s", std::vector<uint16_t>{65535});
  m.set_array("i16s", std::vector<int16_t>{-32768});
  m.set_array("u32s", std::vector<uint32_t>{1, 4294967295});
  m.set_array("i32s", std::vector<int32_t>{-1, 7});
  m.set_array("u64s", std::vector<uint64_t>{1, std::numeric_limits<uint64_t>::max()});
  m.set_array("i64s", std::vector<int64_t>{std::numeric_limits<int64_t>::min()});
  m.set_array("f32s", std::vector<float>{1.5f, -0.0f});
  m.set_array("f64s", std::vector<double>{2.5});
  const bool flags[] = {true, false, true};
  m.set_array("bools", std::span<const bool>(flags));
  m.set_array("strings", std::vector<std::string>{"", "a", "\xff not utf-8"});
  m.set_array("none", std::vector<float>{});
  return m;
}

void write_gguf(const std::filesystem::path& path, GgufMetadata metadata,
                const std::vector<std::pair<std::string, Tensor>>& tensors) {
  GgufWriter writer(path, std::move(metadata));
  for (const auto& [name, tensor] : tensors) writer.declare(name, tensor.dtype(), tensor.shape());
  for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
  writer.finish();
}

TEST(Gguf, EveryKindOfMetadataComesBack) {
  const TempDir dir;
  const auto path = dir.path() / "x.gguf";
  write_gguf(path, all_kinds(), {});
  const GgufFile file(path);
  EXPECT_EQ(file.version(), 3);
  EXPECT_EQ(file.alignment_bytes(), 32);
  EXPECT_EQ(file.metadata().size(), 26u);
  EXPECT_EQ(file.get_uint("u8"), 255);
  EXPECT_EQ(file.get_int("i8"), -128);
  EXPECT_EQ(file.get_uint("u16"), 65535);
  EXPECT_EQ(file.get_int("i16"), -32768);
  EXPECT_EQ(file.get_uint("u32"), 4294967295);
  EXPECT_EQ(file.get_int("i32"), -2147483648);
  EXPECT_EQ(file.get_int("i64"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(file.get_float("f32"), static_cast<double>(0.1f));
  EXPECT_EQ(file.get_float("f64"), 0.1);
  EXPECT_TRUE(file.get_bool("yes"));
  EXPECT_FALSE(file.get_bool("no"));
  EXPECT_EQ(file.get_string("text"), std::string("caf\xc3\xa9\0!", 7));
  EXPECT_THAT(file.get_ints("u8s"), ElementsAre(0, 255));
  EXPECT_THAT(file.get_ints("i8s"), ElementsAre(-128, 127));
  EXPECT_THAT(file.get_ints("u16s"), ElementsAre(65535));
  EXPECT_THAT(file.get_ints("i16s"), ElementsAre(-32768));
  EXPECT_THAT(file.get_ints("u32s"), ElementsAre(1, 4294967295));
  EXPECT_THAT(file.get_ints("i32s"), ElementsAre(-1, 7));
  EXPECT_THAT(file.get_ints("i64s"), ElementsAre(std::numeric_limits<int64_t>::min()));
  EXPECT_THAT(file.get_floats("f32s"), ElementsAre(1.5f, -0.0f));
  EXPECT_THAT(file.get_floats("f64s"), ElementsAre(2.5f));
  EXPECT_THAT(file.get_ints("bools"), ElementsAre(1, 0, 1));
  EXPECT_THAT(file.get_strings("strings"), ElementsAre("", "a", "\xff not utf-8"));
  EXPECT_TRUE(file.get_floats("none").empty());
}

TEST(Gguf, MetadataOfTheWrongKindIsRefusedWithItsKey) {
  const TempDir dir;
  const auto path = dir.path() / "x.gguf";
  GgufMetadata m = all_kinds();
  m.set_f32("nan", std::numeric_limits<float>::quiet_NaN());
  m.set_string("bytes", "\xff");
  write_gguf(path, std::move(m), {});
  const GgufFile file(path);
  const auto expect = [&](const char* key, auto read) {
    EXPECT_THAT(message_of<CorruptFile>(path.string(), [&] { read(key); }), HasSubstr(key));
  };
  expect("u64", [&](auto key) { file.get_uint(key); });  // beyond int64
  expect("i8", [&](auto key) { file.get_uint(key); });   // negative
  expect("f32", [&](auto key) { file.get_int(key); });
  expect("text", [&](auto key) { file.get_int(key); });
  expect("u8s", [&](auto key) { file.get_int(key); });
  expect("u32", [&](auto key) { file.get_float(key); });
  expect("nan", [&](auto key) { file.get_float(key); });
  expect("u8", [&](auto key) { file.get_bool(key); });
  expect("u8", [&](auto key) { file.get_string(key); });
  expect("bytes", [&](auto key) { file.get_string(key); });
  expect("u64s", [&](auto key) { file.get_ints(key); });
  expect("f32s", [&](auto key) { file.get_ints(key); });
  expect("strings", [&](auto key) { file.get_ints(key); });
  expect("i32s", [&](auto key) { file.get_floats(key); });
  expect("i32s", [&](auto key) { file.get_strings(key); });
  expect("text", [&](auto key) { file.get_strings(key); });
  expect("absent", [&](auto key) { file.get_uint(key); });
  EXPECT_FALSE(file.find_uint("absent").has_value());
  EXPECT_FALSE(file.find_strings("absent").has_value());
  EXPECT_FALSE(file.has_key("absent"));
}

TEST(Gguf, MetadataThatCannotBeWrittenIsRefused) {
  GgufMetadata m;
  m.set_u32("a", 1);
  EXPECT_THROW(m.set_f32("a", 1), Error);
  EXPECT_THROW(m.set_u32("", 1), Error);
  EXPECT_THROW(m.set_u32("\xff", 1), Error);
  EXPECT_THROW(m.set_u32(std::string(65536, 'k'), 1), Error);
  EXPECT_THROW(m.set_u32("b", -1), UsageError);
  EXPECT_THROW(m.set_u32("b", 4294967296), UsageError);
  EXPECT_THROW(m.set_i8("b", 128), UsageError);
  EXPECT_THROW(m.set_u32("general.alignment", 48), UsageError);
  EXPECT_THROW(m.set_u32("general.alignment", 0), UsageError);
  EXPECT_THROW(m.set_u16("general.alignment", 64), Error);
  EXPECT_EQ(m.count(), 1);
}

TEST(Gguf, EveryTypeComesBackBitForBit) {
  const TempDir dir;
  const DevicePtr device = test_device();
  const Tensor x = randn({2, 3, 64}, 1);
  const std::vector<int32_t> ids = {1, -2, 3};
  const std::vector<std::pair<std::string, Tensor>> tensors = {
      {"f32", x},
      {"f16", convert(x, DType::kF16)},
      {"bf16", convert(x, DType::kBF16)},
      {"q8_0", convert(x, DType::kQ8_0)},
      {"i32", Tensor::from(ids, {3}, device)},
      {"i64", Tensor::zeros({1, 2}, DType::kI64, device)},
      {"scalar", randn({}, 2)},
      {"empty", Tensor({0, 5}, DType::kF32, device)},
      {"deep", randn({2, 3, 1, 5}, 3)}};
  for (const int64_t alignment : {1, 2, 32, 64, 8192}) {
    GgufMetadata m = all_kinds();
    if (alignment != 32) m.set_u32("general.alignment", alignment);
    const auto path = dir.path() / "x.gguf";
    write_gguf(path, std::move(m), tensors);
    const GgufFile file(path);
    EXPECT_EQ(file.alignment_bytes(), alignment);
    EXPECT_EQ(file.tensors().size(), tensors.size());
    for (const auto& [name, tensor] : tensors) {
      EXPECT_EQ(file.info(name).offset_bytes % alignment, 0);
      EXPECT_TRUE(same_bits(file.get(name, device), tensor)) << name;
    }
  }
}

TEST(Gguf, ValuesAreConvertedAndMayComeInRunsOfRows) {
  const TempDir dir;
  const auto path = dir.path() / "x.gguf";
  const Tensor x = randn({6, 2, 96}, 1);
  for (const DType from : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_1}) {
    for (const DType to : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kIQ4_NL}) {
      const Tensor source = convert(x, from);
      GgufWriter writer(path, {});
      writer.declare("x", to, x.shape());
      for (const auto& [begin, end] : {std::pair{0, 1}, {1, 5}, {5, 6}}) {
        writer.write("x", source.rows(begin, end));
      }
      writer.finish();
      EXPECT_TRUE(same_bits(GgufFile(path).get("x", test_device()), convert(source, to)))
          << from << " to " << to;
    }
  }
}

TEST(Gguf, AFileOfAnotherWriterIsReadAndRewrittenByteForByte) {
  const auto path = test::data_dir() / "io/other_writer.gguf";
  const DevicePtr device = test_device();
  const GgufFile file(path);
  EXPECT_EQ(file.get_string("general.architecture"), "llama4");
  EXPECT_EQ(file.file_type_name(), "Q8_0");
  EXPECT_EQ(file.get_uint("llama4.attention.head_count"), 2);
  EXPECT_EQ(file.get_float("llama4.rope.freq_base"), 500000.0);
  EXPECT_TRUE(file.get_bool("tokenizer.ggml.add_bos_token"));
  EXPECT_EQ(static_cast<int64_t>(file.get_strings("tokenizer.ggml.tokens").size()),
            file.get_uint("llama4.vocab_size"));
  // The file says [in, out, experts]; two experts of 32 outputs and 32 inputs, a vocabulary of 290.
  EXPECT_EQ(file.info("token_embd.weight").shape, (Shape{290, 32}));
  EXPECT_EQ(file.info("blk.0.attn_k.weight").shape, (Shape{16, 32}));
  EXPECT_EQ(file.info("blk.0.ffn_gate_exps.weight").shape, (Shape{2, 32, 32}));
  EXPECT_EQ(file.info("blk.0.ffn_gate_exps.weight").dtype, DType::kQ8_0);
  EXPECT_EQ(file.get("rope_freqs.weight", device).data<float>()[0], 1.0f);

  const TempDir dir;
  GgufMetadata metadata;
  for (const GgufEntry& entry : file.metadata()) metadata.copy(entry);
  GgufWriter writer(dir.path() / "copy.gguf", std::move(metadata));
  for (const TensorInfo& info : file.tensors()) {
    writer.declare(info.name, info.dtype.value(), info.shape);
  }
  for (const TensorInfo& info : file.tensors()) {
    writer.write(info.name, file.get(info.name, device));
  }
  writer.finish();
  EXPECT_TRUE(read_file(dir.path() / "copy.gguf") == read_file(path));
}

TEST(Gguf, BlocksHoldWhatAnotherWriterPutIntoThem) {
  const DevicePtr device = test_device();
  const GgufFile file(test::data_dir() / "io/other_writer.gguf");
  const Tensor x = convert(file.get("blk.0.attn_q.weight", device), DType::kF32);
  double square = 0;
  for (const float v : x.values<float>()) square += static_cast<double>(v) * static_cast<double>(v);
  // Drawn with a standard deviation of 1 / sqrt(32).
  EXPECT_NEAR(square / static_cast<double>(x.numel()) * 32, 1.0, 0.1);
}

TEST(Gguf, Version2IsReadToo) {
  const TempDir dir;
  const auto path = dir.path() / "x.gguf";
  write_gguf(path, all_kinds(), {{"x", randn({4}, 1)}});
  std::string text = read_file(path);
  text[4] = 2;
  write_plain(path, text);
  const GgufFile file(path);
  EXPECT_EQ(file.version(), 2);
  EXPECT_TRUE(same_bits(file.get("x", test_device()), randn({4}, 1)));
}

TEST(Gguf, TypesWithoutAKernelAreListedWithTheirSizeAndRefusedOnlyWhenRead) {
  const TempDir dir;
  const auto path = dir.path() / "x.gguf";
  Bytes b;
  b.raw("GGUF").u32(3).u64(3).u64(0);
  b.string("iq2").u32(2).u64(256).u64(2).u32(16).u64(0);
  b.string("new").u32(1).u64(7).u32(200).u64(160);
  b.string("f").u32(1).u64(1).u32(0).u64(192);
  b.pad(32).raw(std::string(196, 'x'));
  write_plain(path, b.text());
  const GgufFile file(path);
  EXPECT_EQ(file.info("iq2").type_name, "IQ2_XXS");
  EXPECT_EQ(file.info("iq2").shape, (Shape{2, 256}));
  EXPECT_EQ(file.info("iq2").size_bytes, 132);
  EXPECT_EQ(file.info("new").type_name, "ggml type 200");
  EXPECT_EQ(file.info("new").size_bytes, -1);
  EXPECT_EQ(file.get("f", test_device()).numel(), 1);
  const auto read = [&](const char* name) { file.get(name, test_device()); };
  EXPECT_THAT(message_of<NotSupported>(path.string(), [&] { read("iq2"); }),
              HasSubstr("'iq2' has type 'IQ2_XXS'"));
  EXPECT_THAT(message_of<NotSupported>(path.string(), [&] { read("new"); }),
              HasSubstr("ggml type 200"));
}

TEST(Gguf, EveryBlockTypeIsReadAndWrittenAsItIs) {
  const TempDir dir;
  const auto path = dir.path() / "x.gguf";
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const DType dtype : test::block_types()) {
    tensors.emplace_back(dtype_name(dtype), test::random_blocks({2, 3, 512}, dtype, 1));
  }
  write_gguf(path, all_kinds(), tensors);
  const GgufFile file(path);
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(same_bits(file.get(name, test_device()), tensor)) << name;
    const Tensor dense = quant::dense_f32(quant::LinearWeight::out_in(tensor), 1);
    EXPECT_TRUE(same_bits(convert(tensor, DType::kF32).rows(1, 2).view({3, 512}), dense)) << name;
  }
}

TEST(Gguf, FileTypesHaveNames) {
  EXPECT_EQ(gguf_file_type_name(gguf_file_type(DType::kF32)), "F32");
  EXPECT_EQ(gguf_file_type_name(gguf_file_type(DType::kF16)), "F16");
  EXPECT_EQ(gguf_file_type_name(gguf_file_type(DType::kBF16)), "BF16");
  EXPECT_EQ(gguf_file_type_name(gguf_file_type(DType::kQ8_0)), "Q8_0");
  EXPECT_EQ(gguf_file_type_name(gguf_file_type(DType::kQ4_K)), "Q4_K_S");
  EXPECT_EQ(gguf_file_type_name(gguf_file_type(DType::kIQ4_XS)), "IQ4_XS");
  EXPECT_EQ(gguf_file_type_name(15), "Q4_K_M");
  EXPECT_EQ(gguf_file_type_name(-3), "type -3");
  EXPECT_THROW(gguf_file_type(DType::kI64), NotSupported);
}

TEST(Gguf, OpeningAHugeFileReadsOnlyItsHeader) {
  const TempDir dir;
  const auto path = dir.path() / "huge.gguf";
  Bytes b;
  b.raw("GGUF").u32(3).u64(1).u64(0);
  b.string("x").u32(2).u64(65536).u64(1048576).u32(0).u64(0).pad(32);
  write_plain(path, b.text());
  std::filesystem::resize_file(path, b.text().size() + (uint64_t{1} << 38));
  const DevicePtr device = test_device();
  const Tensor x = GgufFile(path).get("x", device).rows(1048575, 1048576);
  EXPECT_EQ(x.data<float>()[65535], 0.0f);
  EXPECT_EQ(device->memory().peak_bytes, 0);
}

}  // namespace
}  // namespace corral::io
