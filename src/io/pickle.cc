#include "io/pickle.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "io/names.h"
#include "io/pickle_machine.h"
#include "tensor/shape.h"

namespace corral::io {
namespace {

using Kind = PickleValue::Kind;

struct StorageType {
  std::string_view name;  // of the class in module torch
  std::string_view type_name;
  int64_t bytes;
  DType dtype;
  bool readable;
};

constexpr std::array<StorageType, 9> kStorageTypes = {{
    {"FloatStorage", "F32", 4, DType::kF32, true},
    {"HalfStorage", "F16", 2, DType::kF16, true},
    {"BFloat16Storage", "BF16", 2, DType::kBF16, true},
    {"IntStorage", "I32", 4, DType::kI32, true},
    {"LongStorage", "I64", 8, DType::kI64, true},
    {"ByteStorage", "U8", 1, DType::kU8, true},
    {"DoubleStorage", "F64", 8, DType::kF32, false},
    {"CharStorage", "I8", 1, DType::kF32, false},
    {"BoolStorage", "BOOL", 1, DType::kF32, false},
}};

// Positions in the arguments of _rebuild_tensor_v2 and in a storage's persistent id.
constexpr size_t kTensorArguments = 4;   // storage, offset, size, stride; more follow
constexpr size_t kStorageArguments = 5;  // "storage", class, key, device, elements

class TensorReader {
 public:
  TensorReader(const PickleMachine& machine, const std::string& what)
      : machine_(machine), what_(what) {}

  PickledTensor read(std::string_view name, const PickleValue& value) {
    PickledTensor tensor;
    tensor.name = name;
    name_ = name;
    const PickleValue& arguments = machine_.value(value.items.front());
    if (arguments.kind != Kind::kTuple || arguments.items.size() < kTensorArguments) {
      fail("is rebuilt from too few arguments");
    }
    read_storage(machine_.value(arguments.items[0]), tensor);
    tensor.offset_elements = number(arguments.items[1]);
    tensor.sizes = numbers(arguments.items[2]);
    tensor.strides = numbers(arguments.items[3]);
    if (tensor.sizes.size() != tensor.strides.size()) fail("has more axes than strides");
    return tensor;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw CorruptFile(str(what_, ": tensor ", show_name(name_), " ", reason));
  }
  int64_t number(uint32_t index) const {
    const PickleValue& value = machine_.value(index);
    if (value.kind != Kind::kNumber || value.number < 0) fail("has a size that is no count");
    return value.number;
  }
  std::vector<int64_t> numbers(uint32_t index) const {
    const PickleValue& value = machine_.value(index);
    if (value.kind != Kind::kTuple) fail("has a shape that is no tuple");
    if (value.items.size() > Shape::kMaxRank) {
      throw NotSupported(str(what_, ": tensor ", show_name(name_), " has ", value.items.size(),
                             " axes, Corral handles at most ", Shape::kMaxRank));
    }
    std::vector<int64_t> result;
    for (const uint32_t item : value.items) result.push_back(number(item));
    return result;
  }
  void read_storage(const PickleValue& storage, PickledTensor& tensor) const {
    if (storage.kind != Kind::kStorage) fail("has no storage");
    const std::vector<uint32_t>& id = machine_.value(storage.items.front()).items;
    if (id.size() < kStorageArguments) fail("has a storage without a size");
    const PickleValue& type = machine_.value(id[1]);
    const PickleValue& key = machine_.value(id[2]);
    if (machine_.value(id[0]).text != "storage" || type.kind != Kind::kGlobal ||
        key.kind != Kind::kString) {
      fail("has a storage that is none");
    }
    const auto* row =
        std::find_if(kStorageTypes.begin(), kStorageTypes.end(),
                     [&](const StorageType& candidate) { return candidate.name == type.text; });
    if (row == kStorageTypes.end()) {
      throw NotSupported(str(what_, ": tensor ", show_name(name_), " has elements of ",
                             show_name(type.text), ", whose size Corral does not know"));
    }
    tensor.dtype = row->dtype;
    tensor.type_name = row->type_name;
    tensor.readable = row->readable;
    tensor.element_bytes = row->bytes;
    tensor.storage = key.text;
    tensor.storage_elements = number(id[4]);
  }

  const PickleMachine& machine_;
  const std::string& what_;
  std::string_view name_;
};

}  // namespace

std::vector<PickledTensor> read_pickled_tensors(std::span<const std::byte> pickle,
                                                const std::string& what) {
  if (static_cast<int64_t>(pickle.size()) > kMaxPickleBytes) {
    throw CorruptFile(str(what, ": a pickle of ", pickle.size(), " bytes; at most ",
                          kMaxPickleBytes, " are allowed: not a state dict?"));
  }
  const PickleMachine machine(pickle, what);
  const PickleValue& dict = machine.result();
  if (dict.kind != Kind::kDict) {
    throw CorruptFile(str(what, ": the pickle holds no dict of tensors: not a state dict?"));
  }
  TensorReader reader(machine, what);
  std::vector<PickledTensor> tensors;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& key = machine.value(dict.items[i]);
    const PickleValue& value = machine.value(dict.items[i + 1]);
    if (key.kind != Kind::kString) throw CorruptFile(str(what, ": a tensor's name is no string"));
    if (value.kind == Kind::kTensor) tensors.push_back(reader.read(key.text, value));
  }
  return tensors;
}

}  // namespace corral::io
