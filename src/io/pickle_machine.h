#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/byte_reader.h"

namespace corral::io {

/// A value on the stack of a pickle. Containers hold indices into PickleMachine::values(), so a
/// container that holds itself, or another one a million times, costs nothing.
struct PickleValue {
  enum class Kind : uint8_t {
    kNone,
    kNumber,   // integers and truth values
    kOther,    // floats, bytes, and objects that nobody looks into
    kString,   // text
    kGlobal,   // text: "module name"
    kTuple,    // items
    kDict,     // items: key, value, key, value, ...
    kList,     // items
    kStorage,  // items: the one persistent id, a tuple
    kTensor,   // items: the one tuple of arguments of _rebuild_tensor_v2
  };
  Kind kind = Kind::kNone;
  int64_t number = 0;
  std::string_view text = {};  // of the pickle's bytes, or a constant
  std::vector<uint32_t> items = {};
};

/// Runs the opcodes of a pickle that torch.save could have written and builds its values; knows
/// only the constructors that pickle.h tells of. Opcodes are those of CPython's pickletools.
class PickleMachine {
 public:
  /// Runs to the end. Throws CorruptFile, NotSupported.
  PickleMachine(std::span<const std::byte> pickle, const std::string& what);

  const std::vector<PickleValue>& values() const { return values_; }
  const PickleValue& value(uint32_t index) const { return values_[index]; }
  const PickleValue& result() const { return values_[result_]; }

 private:
  using Kind = PickleValue::Kind;

  bool step();
  bool run_constant(uint8_t opcode);
  bool run_container(uint8_t opcode);
  bool run_memo(uint8_t opcode);
  void run_call(uint8_t opcode);

  uint64_t number(int bytes);
  std::string_view text(uint64_t bytes);
  std::string_view line();

  void push(PickleValue value);
  uint32_t pop();
  std::vector<uint32_t> pop_to_mark();
  void make_tuple(size_t n);
  void append(const std::vector<uint32_t>& items, Kind kind);
  void remember(uint64_t slot);
  void recall(uint64_t slot);
  void push_global(std::string_view module, std::string_view name);
  void reduce();
  void persistent();
  [[noreturn]] void fail(const std::string& reason) const;

  ByteReader in_;
  std::vector<PickleValue> values_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, uint32_t> memo_;
  uint32_t result_ = 0;
};

}  // namespace corral::io
