#include "io/pickle_machine.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "io/names.h"

namespace corral::io {
namespace {

// Everything that a state dict may name, and what calling it makes.
struct Constructor {
  std::string_view module;
  std::string_view name;
  PickleValue::Kind makes;
};

using Kind = PickleValue::Kind;
constexpr std::array<Constructor, 8> kConstructors = {{
    {"torch._utils", "_rebuild_tensor_v2", Kind::kTensor},
    {"torch._utils", "_rebuild_parameter", Kind::kTuple},  // its first argument is the tensor
    {"collections", "OrderedDict", Kind::kDict},
    {"_io", "BytesIO", Kind::kOther},
    {"_codecs", "encode", Kind::kOther},
    {"__builtin__", "bytes", Kind::kOther},
    {"builtins", "bytes", Kind::kOther},
    {"builtins", "bytearray", Kind::kOther},
}};

constexpr std::string_view kStorageSuffix = "Storage";

bool is_storage(std::string_view module, std::string_view name) {
  return module == "torch" && name.ends_with(kStorageSuffix);
}

// Opcodes, with CPython's names.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kList = 'l',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kBinFloat = 'G',
  kEmptyDict = '}',
  kEmptyList = ']',
  kEmptyTuple = ')',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kDict = 'd',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

constexpr uint64_t kFrameBytes = 8;
constexpr uint64_t kFloatBytes = 8;
constexpr uint64_t kMaxProtocol = 5;

}  // namespace

PickleMachine::PickleMachine(std::span<const std::byte> pickle, const std::string& what)
    : in_(pickle, what) {
  while (step()) {
  }
}

void PickleMachine::fail(const std::string& reason) const {
  throw CorruptFile(
      str(in_.what(), ": damaged pickle at byte ", in_.position_bytes(), ": ", reason));
}

uint64_t PickleMachine::number(int bytes) {
  uint64_t value = 0;
  int shift = 0;
  for (const std::byte b : in_.take(static_cast<uint64_t>(bytes), "a number of the pickle")) {
    value |= std::to_integer<uint64_t>(b) << shift;
    shift += 8;
  }
  return value;
}

std::string_view PickleMachine::text(uint64_t bytes) {
  const auto span = in_.take(bytes, "a string of the pickle");
  return {reinterpret_cast<const char*>(span.data()), span.size()};
}

std::string_view PickleMachine::line() {
  const int64_t begin = in_.position_bytes();
  while (number(1) != '\n') {
  }
  const auto span = in_.since(begin);
  return {reinterpret_cast<const char*>(span.data()), span.size() - 1};
}

void PickleMachine::push(PickleValue value) {
  stack_.push_back(static_cast<uint32_t>(values_.size()));
  values_.push_back(std::move(value));
}

uint32_t PickleMachine::pop() {
  if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back())) {
    fail("it takes a value where there is none");
  }
  const uint32_t top = stack_.back();
  stack_.pop_back();
  return top;
}

std::vector<uint32_t> PickleMachine::pop_to_mark() {
  if (marks_.empty()) fail("it goes back to a mark that it has not set");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  marks_.pop_back();
  std::vector<uint32_t> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  return items;
}

void PickleMachine::make_tuple(size_t n) {
  std::vector<uint32_t> items(n);
  for (size_t i = n; i-- > 0;) items[i] = pop();
  push({.kind = Kind::kTuple, .items = std::move(items)});
}

// Adds to the container on top of the stack.
void PickleMachine::append(const std::vector<uint32_t>& items, Kind kind) {
  const uint32_t top = pop();
  stack_.push_back(top);
  PickleValue& container = values_[top];
  if (container.kind == Kind::kOther) return;
  if (container.kind != kind || (kind == Kind::kDict && items.size() % 2 != 0)) {
    fail("it adds to what is no container of that kind");
  }
  container.items.insert(container.items.end(), items.begin(), items.end());
}

void PickleMachine::remember(uint64_t slot) {
  const uint32_t top = pop();
  stack_.push_back(top);
  memo_[slot] = top;
}

void PickleMachine::recall(uint64_t slot) {
  const auto at = memo_.find(slot);
  if (at == memo_.end()) fail("it recalls a value that it has not stored");
  stack_.push_back(at->second);
}

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  if (is_storage(module, name)) {
    push({.kind = Kind::kGlobal, .text = name});
    return;
  }
  for (const Constructor& c : kConstructors) {
    if (c.module != module || c.name != name) continue;
    push({.kind = Kind::kGlobal,
          .number = static_cast<int64_t>(&c - kConstructors.data()) + 1,
          .text = c.name});
    return;
  }
  throw NotSupported(str(in_.what(), ": the pickle asks for ", show_name(str(module, '.', name)),
                         ", which no state dict needs: it could run code and is refused"));
}

// A call, which makes a value of the constructor's kind from its arguments and runs nothing.
void PickleMachine::reduce() {
  const uint32_t arguments = pop();
  const uint32_t callable = pop();
  const PickleValue& global = values_[callable];
  if (global.kind != Kind::kGlobal || global.number == 0 ||
      values_[arguments].kind != Kind::kTuple) {
    fail("it calls what cannot be called");
  }
  const Constructor& constructor = kConstructors[static_cast<size_t>(global.number) - 1];
  if (constructor.makes == Kind::kTuple) {
    if (values_[arguments].items.empty()) fail("a parameter without a tensor");
    stack_.push_back(values_[arguments].items.front());
    return;
  }
  PickleValue made{.kind = constructor.makes};
  // By reference: arguments recalled from the memo over and over must not cost their length again.
  if (made.kind == Kind::kTensor) made.items = {arguments};
  push(std::move(made));
}

void PickleMachine::persistent() {
  const uint32_t id = pop();
  if (values_[id].kind != Kind::kTuple) fail("a persistent id that is no storage");
  push({.kind = Kind::kStorage, .items = {id}});
}

bool PickleMachine::run_constant(uint8_t opcode) {
  switch (opcode) {
    case kNone:
      push({});
      return true;
    case kNewTrue:
    case kNewFalse:
      push({.kind = Kind::kNumber, .number = opcode == kNewTrue});
      return true;
    case kBinInt:
      push({.kind = Kind::kNumber, .number = static_cast<int32_t>(number(4))});
      return true;
    case kBinInt1:
      push({.kind = Kind::kNumber, .number = static_cast<int64_t>(number(1))});
      return true;
    case kBinInt2:
      push({.kind = Kind::kNumber, .number = static_cast<int64_t>(number(2))});
      return true;
    case kLong1: {
      const auto bytes = static_cast<int>(number(1));
      if (bytes > 8) fail("a number of more than 64 bits");
      const uint64_t bits = number(bytes);
      const int unused = 64 - 8 * bytes;
      push({.kind = Kind::kNumber,
            .number = bytes == 0 ? 0 : static_cast<int64_t>(bits << unused) >> unused});
      return true;
    }
    case kBinFloat:
      in_.take(kFloatBytes, "a number of the pickle");
      push({.kind = Kind::kOther});
      return true;
    case kBinUnicode:
    case kShortBinUnicode:
    case kBinUnicode8: {
      const int bytes = opcode == kBinUnicode ? 4 : opcode == kShortBinUnicode ? 1 : 8;
      push({.kind = Kind::kString, .text = text(number(bytes))});
      return true;
    }
    case kBinString:
    case kBinBytes:
    case kShortBinString:
    case kShortBinBytes:
    case kBinBytes8: {
      const bool is_short = opcode == kShortBinString || opcode == kShortBinBytes;
      text(number(is_short ? 1 : opcode == kBinBytes8 ? 8 : 4));
      push({.kind = Kind::kOther});
      return true;
    }
    default:
      return false;
  }
}

bool PickleMachine::run_container(uint8_t opcode) {
  switch (opcode) {
    case kEmptyDict:
      push({.kind = Kind::kDict});
      return true;
    case kEmptyList:
      push({.kind = Kind::kList});
      return true;
    case kEmptyTuple:
      push({.kind = Kind::kTuple});
      return true;
    case kTuple1:
    case kTuple2:
    case kTuple3:
      make_tuple(opcode - kTuple1 + 1u);
      return true;
    case kTuple:
      push({.kind = Kind::kTuple, .items = pop_to_mark()});
      return true;
    case kList:
      push({.kind = Kind::kList, .items = pop_to_mark()});
      return true;
    case kDict:
    case kSetItems: {
      const auto items = pop_to_mark();
      if (opcode == kDict) push({.kind = Kind::kDict});
      append(items, Kind::kDict);
      return true;
    }
    case kSetItem: {
      const uint32_t value = pop();
      const uint32_t key = pop();
      append({key, value}, Kind::kDict);
      return true;
    }
    case kAppend:
      append({pop()}, Kind::kList);
      return true;
    case kAppends: {
      const auto items = pop_to_mark();
      append(items, Kind::kList);
      return true;
    }
    default:
      return false;
  }
}

bool PickleMachine::run_memo(uint8_t opcode) {
  switch (opcode) {
    case kBinPut:
      remember(number(1));
      return true;
    case kLongBinPut:
      remember(number(4));
      return true;
    case kMemoize:
      remember(memo_.size());
      return true;
    case kBinGet:
      recall(number(1));
      return true;
    case kLongBinGet:
      recall(number(4));
      return true;
    case kDup: {
      const uint32_t top = pop();
      stack_.insert(stack_.end(), 2, top);
      return true;
    }
    case kPop:
      if (!marks_.empty() && stack_.size() == marks_.back()) {
        marks_.pop_back();
      } else {
        pop();
      }
      return true;
    case kPopMark:
      pop_to_mark();
      return true;
    case kMark:
      marks_.push_back(stack_.size());
      return true;
    default:
      return false;
  }
}

void PickleMachine::run_call(uint8_t opcode) {
  switch (opcode) {
    case kGlobal: {
      const std::string_view module = line();
      push_global(module, line());
      return;
    }
    case kStackGlobal: {
      const PickleValue& name = values_[pop()];
      const PickleValue& module = values_[pop()];
      if (name.kind != Kind::kString || module.kind != Kind::kString) {
        fail("a global without a name");
      }
      push_global(module.text, name.text);
      return;
    }
    case kReduce:
    case kNewObj:
      reduce();
      return;
    case kBuild:  // the state of an object that nobody looks into
      pop();
      stack_.push_back(pop());
      return;
    case kBinPersId:
      persistent();
      return;
    default:
      fail(str("opcode ", static_cast<int>(opcode), " belongs to no state dict"));
  }
}

bool PickleMachine::step() {
  const auto opcode = static_cast<uint8_t>(number(1));
  if (opcode == kStop) {
    result_ = pop();
    return false;
  }
  if (opcode == kProto) {
    const uint64_t protocol = number(1);
    if (protocol > kMaxProtocol) fail(str("protocol ", protocol, " is unknown"));
    return true;
  }
  if (opcode == kFrame) {
    in_.take(kFrameBytes, "a frame of the pickle");
    return true;
  }
  if (!run_constant(opcode) && !run_container(opcode) && !run_memo(opcode)) run_call(opcode);
  return true;
}

}  // namespace corral::io
