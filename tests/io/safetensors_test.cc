#include "io/safetensors.h"

#include <cstdint>
#include <vector>

#include "io/safetensors_writer.h"
#include "io/support.h"
#include "support/paths.h"

namespace corral::io {
namespace {

using test::randn;
using test::same_bits;
using test::TempDir;
using test::test_device;
using testing::HasSubstr;

Tensor counting(const Shape& shape, DType dtype, const DevicePtr& device) {
  Tensor x(shape, dtype, device);
  auto* bytes = x.mutable_data<std::byte>();
  for (int64_t i = 0; i < x.size_bytes(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + 3);
  return x;
}

TEST(Safetensors, EveryTypeComesBackBitForBit) {
  const TempDir dir;
  const DevicePtr device = test_device();
  std::vector<NamedTensor> tensors;
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kI32, DType::kI64, DType::kU8}) {
    const std::string name(dtype_name(dtype));
    tensors.push_back({name + ".matrix", counting({3, 5}, dtype, device)});
    tensors.push_back({name + ".scalar", counting({}, dtype, device)});
    tensors.push_back({name + ".empty", counting({4, 0}, dtype, device)});
    tensors.push_back({name + ".deep", counting({2, 1, 3, 2}, dtype, device)});
  }
  const auto path = dir.path() / "all.safetensors";
  write_safetensors(path, tensors, {{"format", "pt"}, {"note", "a \"quoted\"\nline"}});

  const SafetensorsFile file(path);
  EXPECT_EQ(file.tensors().size(), tensors.size());
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("note"), "a \"quoted\"\nline");
  for (const NamedTensor& t : tensors) {
    EXPECT_TRUE(same_bits(file.get(t.name, device), t.tensor)) << t.name;
  }
}

TEST(Safetensors, TensorsAreViewsThatOutliveTheFileObject) {
  const TempDir dir;
  const DevicePtr device = test_device();
  const Tensor x = randn({64, 8}, 1);
  const auto path = dir.path() / "x.safetensors";
  write_safetensors(path, {{"x", x}});
  Tensor view;
  {
    const SafetensorsFile file(path);
    view = file.get("x", device);
  }
  EXPECT_FALSE(view.storage()->writable());
  EXPECT_THROW(view.mutable_data<float>(), Error);
  EXPECT_TRUE(same_bits(view, x));
  EXPECT_EQ(device->memory().peak_bytes, 0);
}

TEST(Safetensors, MisalignedDataIsCopied) {
  const TempDir dir;
  const DevicePtr device = test_device();
  const auto path = dir.path() / "odd.safetensors";
  SafetensorsWriter writer(path);
  writer.declare("byte", DType::kU8, {1});
  writer.declare("x", DType::kF32, {5});
  writer.write("byte", counting({1}, DType::kU8, device));
  const Tensor x = randn({5}, 2);
  writer.write("x", x);
  writer.finish();
  const Tensor back = SafetensorsFile(path).get("x", device);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(back.data<float>()) % 4, 0u);
  EXPECT_TRUE(same_bits(back, x));
}

TEST(Safetensors, WritingWholePutsWiderTypesFirst) {
  const TempDir dir;
  const DevicePtr device = test_device();
  const auto path = dir.path() / "x.safetensors";
  write_safetensors(path, {{"u8", counting({3}, DType::kU8, device)},
                           {"b", randn({1}, 1), DType::kBF16},
                           {"i64", counting({1}, DType::kI64, device)},
                           {"a", randn({1}, 1)}});
  const SafetensorsFile file(path);
  std::vector<std::string> names;
  for (const TensorInfo& info : file.tensors()) names.push_back(info.name);
  EXPECT_THAT(names, testing::ElementsAre("i64", "a", "b", "u8"));
}

TEST(Safetensors, ValuesAreConvertedToTheTypeAskedFor) {
  const TempDir dir;
  const DevicePtr device = test_device();
  const Tensor x = randn({100, 33}, 5);
  const auto path = dir.path() / "x.safetensors";
  write_safetensors(path, {{"h", x, DType::kF16}, {"b", x, DType::kBF16}, {"f", x}});
  const SafetensorsFile file(path);
  EXPECT_TRUE(same_bits(file.get("h", device), test::to_dtype(x, DType::kF16)));
  EXPECT_TRUE(same_bits(file.get("b", device), test::to_dtype(x, DType::kBF16)));
  EXPECT_TRUE(same_bits(file.get("f", device), x));
}

TEST(Safetensors, DataCanComeInRunsOfRows) {
  const TempDir dir;
  const Tensor x = randn({10, 4, 3}, 6);
  const auto path = dir.path() / "x.safetensors";
  SafetensorsWriter writer(path);
  writer.declare("x", DType::kF32, x.shape());
  for (const auto& [begin, end] : {std::pair{0, 1}, {1, 7}, {7, 7}, {7, 10}}) {
    EXPECT_FALSE(writer.complete());
    writer.write("x", x.rows(begin, end));
  }
  EXPECT_TRUE(writer.complete());
  writer.finish();
  EXPECT_TRUE(same_bits(SafetensorsFile(path).get("x", test_device()), x));
}

TEST(Safetensors, AMissingTensorIsAnsweredWithTheNearestName) {
  const TempDir dir;
  const auto path = dir.path() / "x.safetensors";
  write_safetensors(path, {{"model.layers.0.q", randn({1}, 1)}, {"lm_head", randn({1}, 1)}});
  const SafetensorsFile file(path);
  EXPECT_FALSE(file.has("model.layers.9.q"));
  EXPECT_TRUE(file.has("lm_head"));
  const std::string message =
      message_of(path.string(), [&] { file.get("model.layers.9.q", test_device()); });
  EXPECT_THAT(message, HasSubstr("'model.layers.9.q'"));
  EXPECT_THAT(message, HasSubstr("nearest name is 'model.layers.0.q'"));
}

TEST(Safetensors, TypesWithoutAKernelAreListedAndRefusedOnlyWhenRead) {
  const TempDir dir;
  const auto path = dir.path() / "x.safetensors";
  const std::string header = R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"F4_NEW","shape":[16],"data_offsets":[8,16]},)"
                             R"("c":{"dtype":"U8","shape":[2],"data_offsets":[16,18]}})";
  write_plain(path, Bytes().u64(header.size()).raw(header).raw("0123456789abcdefgh").text());
  const SafetensorsFile file(path);
  EXPECT_EQ(file.info("a").type_name, "F64");
  EXPECT_EQ(file.info("b").size_bytes, 8);
  EXPECT_FALSE(file.info("a").dtype.has_value());
  EXPECT_EQ(file.get("c", test_device()).data<uint8_t>()[1], 'h');
  const auto read = [&](const char* name) { file.get(name, test_device()); };
  EXPECT_THAT(message_of<NotSupported>(path.string(), [&] { read("a"); }), HasSubstr("'F64'"));
  EXPECT_THAT(message_of<NotSupported>(path.string(), [&] { read("b"); }), HasSubstr("'b'"));
}

TEST(Safetensors, OpeningAHugeFileReadsOnlyItsHeader) {
  const TempDir dir;
  const auto path = dir.path() / "huge.safetensors";
  std::string header =
      R"({"x":{"dtype":"F32","shape":[1048576,65536],"data_offsets":[0,274877906944]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  write_plain(path, Bytes().u64(header.size()).raw(header).text());
  std::filesystem::resize_file(path, 8 + header.size() + (uint64_t{1} << 38));
  const DevicePtr device = test_device();
  const Tensor x = SafetensorsFile(path).get("x", device).rows(1048575, 1048576);
  EXPECT_EQ(x.data<float>()[65535], 0.0f);
  EXPECT_EQ(device->memory().peak_bytes, 0);
}

TEST(Safetensors, FilesOfTheReferenceImplementationAreRewrittenByteForByte) {
  const auto shared = test::shared_dir();
  if (!shared) GTEST_SKIP() << "needs ../shared/goldens";
  const TempDir dir;
  const DevicePtr device = test_device();
  for (const char* name : {"scout-tiny/model.safetensors", "scout-tiny/bf16/model.safetensors",
                           "training/losses.safetensors", "vision-tiny/cases.safetensors",
                           "preprocess/resize.safetensors"}) {
    const auto from = *shared / "goldens" / name;
    const SafetensorsFile file(from);
    SafetensorsWriter writer(dir.path() / "copy", file.metadata());
    for (const TensorInfo& info : file.tensors()) {
      writer.declare(info.name, info.dtype.value(), info.shape);
    }
    for (const TensorInfo& info : file.tensors()) {
      writer.write(info.name, file.get(info.name, device));
    }
    writer.finish();
    EXPECT_TRUE(read_file(dir.path() / "copy") == read_file(from)) << name;
  }
}

TEST(Safetensors, AllGoldensCanBeListed) {
  const auto shared = test::shared_dir();
  if (!shared) GTEST_SKIP() << "needs ../shared/goldens";
  const DevicePtr device = test_device();
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(*shared / "goldens")) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file(entry.path());
    EXPECT_FALSE(file.tensors().empty()) << entry.path();
    read_all(file, device);
    ++files;
  }
  EXPECT_GT(files, 10);
  const auto model = open_sharded(*shared / "goldens/scout-tiny");
  EXPECT_EQ(model->info("language_model.lm_head.weight").shape, (Shape{512, 64}));
}

}  // namespace
}  // namespace corral::io
