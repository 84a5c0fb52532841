#include "engine/session_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/encoding.h"
#include "base/error.h"
#include "base/fingerprint.h"
#include "engine/prompt.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"

namespace corral::engine {
namespace {

constexpr const char* kFormat = "corral-session";
constexpr const char* kVersion = "1";

std::string kind_name(size_t kind) { return str("pages.", kind); }

/// A sequence that the engine holds for this thread, given back however this ends.
class HeldSequence {
 public:
  HeldSequence(Engine& engine, Scheduler::Held held) : engine_(engine), held_(std::move(held)) {}
  ~HeldSequence() {
    try {
      give_back({});
    } catch (const std::exception&) {
      // The engine is shutting down: its cache goes as a whole.
    }
  }
  HeldSequence(const HeldSequence&) = delete;
  HeldSequence& operator=(const HeldSequence&) = delete;

  const Scheduler::Held& held() const { return held_; }
  void give_back(std::span<const uint64_t> identities) {
    if (held_.sequence < 0) return;
    const Scheduler::Held held = std::exchange(held_, {});
    engine_.between_steps([&](Scheduler& scheduler) { scheduler.release(held, identities); });
  }

 private:
  Engine& engine_;
  Scheduler::Held held_;
};

Tensor identities_tensor(std::span<const uint64_t> identities, const DevicePtr& device) {
  Tensor tensor({static_cast<int64_t>(identities.size())}, DType::kI64, device);
  std::memcpy(tensor.mutable_data<int64_t>(), identities.data(), identities.size_bytes());
  return tensor;
}

// A page as a row of its kind's tensor; the caller holds the memory.
Tensor view_of(std::span<std::byte> page, const DevicePtr& device) {
  const auto held_elsewhere = std::make_shared<const int>(0);
  return {Storage::borrow(device, page, held_elsewhere), 0,
          Shape{1, static_cast<int64_t>(page.size())}, DType::kU8};
}

uint64_t checksum_of(std::span<const uint64_t> identities,
                     const std::vector<std::vector<std::span<std::byte>>>& pages) {
  Fingerprint print;
  print.add(std::as_bytes(identities));
  for (const auto& kind : pages) {
    for (const std::span<std::byte> page : kind) print.add(std::span<const std::byte>(page));
  }
  return print.value();
}

std::string metadata_of(const io::SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

std::vector<uint64_t> read_identities(const io::SafetensorsFile& file, const DevicePtr& device) {
  const io::TensorInfo* info = file.find("identities");
  if (info == nullptr || info->dtype != DType::kI64 || info->shape.rank() != 1 ||
      info->shape[0] < 1) {
    throw CorruptFile(str(file.origin(), ": a session without its tokens' identities"));
  }
  const Tensor tensor = file.get("identities", device);
  const auto values = tensor.values<int64_t>();
  std::vector<uint64_t> identities(values.size());
  std::memcpy(identities.data(), values.data(), values.size_bytes());
  return identities;
}

/// What the engine says about a file before any of it is taken.
struct Expected {
  uint64_t fingerprint = 0;
  int64_t context_tokens = 0;
  int64_t vocab_size = 0;
  std::vector<int64_t> pages;  // of each kind
  std::vector<int64_t> page_bytes;
};

void check_header(const io::SafetensorsFile& file, uint64_t fingerprint) {
  if (metadata_of(file, "format") != kFormat) {
    throw CorruptFile(str(file.origin(), ": no saved session of Corral"));
  }
  if (metadata_of(file, "version") != kVersion) {
    throw UsageError(str(file.origin(), ": a session of version '",
                         metadata_of(file, "version").substr(0, 20), "', this reads ", kVersion));
  }
  if (metadata_of(file, "fingerprint") != to_hex(fingerprint)) {
    throw UsageError(str(file.origin(),
                         ": saved with another model, or with other --precision, --kv-type or "
                         "--isa: it cannot go on here"));
  }
}

void check_tokens(const io::SafetensorsFile& file, std::span<const uint64_t> identities,
                  const Expected& expected) {
  if (static_cast<int64_t>(identities.size()) > expected.context_tokens) {
    throw UsageError(str(file.origin(), ": a session of ", identities.size(),
                         " tokens, the context holds ", expected.context_tokens));
  }
  for (const uint64_t identity : identities) {
    if (identity < static_cast<uint64_t>(expected.vocab_size)) continue;
    throw CorruptFile(str(file.origin(), ": the token ", identity, " is none of the ",
                          expected.vocab_size, " of the model"));
  }
  for (size_t kind = 0; kind < expected.pages.size(); ++kind) {
    if (expected.pages[kind] == 0) continue;
    const io::TensorInfo* info = file.find(kind_name(kind));
    const Shape wanted = {expected.pages[kind], expected.page_bytes[kind]};
    if (info != nullptr && info->dtype == DType::kU8 && info->shape == wanted) continue;
    throw CorruptFile(str(file.origin(), ": ", kind_name(kind), " is not ", wanted,
                          " bytes, as a session of ", identities.size(), " tokens has it"));
  }
}

}  // namespace

int64_t session_bytes(Engine& engine, int64_t tokens) {
  int64_t bytes = tokens * static_cast<int64_t>(sizeof(uint64_t));
  engine.between_steps(
      [&](Scheduler& scheduler) { bytes += scheduler.cache().blank_bytes(tokens); });
  return bytes;
}

SessionInfo save_session(Engine& engine, std::span<const uint64_t> identities,
                         const std::filesystem::path& path) {
  if (std::any_of(identities.begin(), identities.end(),
                  [](uint64_t identity) { return (identity & kImageMark) != 0; })) {
    throw UsageError("a session with pictures cannot be saved: only this process knows them");
  }
  Scheduler::Held known;
  uint64_t fingerprint = 0;
  DevicePtr device;
  engine.between_steps([&](Scheduler& scheduler) {
    fingerprint = scheduler.fingerprint();
    device = scheduler.device();
    known = scheduler.hold_known(identities);
  });
  const HeldSequence sequence(engine, std::move(known));
  const Scheduler::Held& held = sequence.held();
  if (held.length == 0) {
    throw UsageError("nothing of the session is in the prefix cache any more");
  }
  const auto tokens = identities.first(static_cast<size_t>(held.length));
  io::SafetensorsWriter writer(path, {{"format", kFormat},
                                      {"version", kVersion},
                                      {"fingerprint", to_hex(fingerprint)},
                                      {"checksum", to_hex(checksum_of(tokens, held.pages))}});
  writer.declare("identities", DType::kI64, Shape{held.length});
  for (size_t kind = 0; kind < held.pages.size(); ++kind) {
    const auto& pages = held.pages[kind];
    if (pages.empty()) continue;
    writer.declare(
        kind_name(kind), DType::kU8,
        Shape{static_cast<int64_t>(pages.size()), static_cast<int64_t>(pages.front().size())});
  }
  writer.write("identities", identities_tensor(tokens, device));
  for (size_t kind = 0; kind < held.pages.size(); ++kind) {
    for (const std::span<std::byte> page : held.pages[kind]) {
      writer.write(kind_name(kind), view_of(page, device));
    }
  }
  writer.finish();
  return {.identities = {tokens.begin(), tokens.end()},
          .bytes = static_cast<int64_t>(std::filesystem::file_size(path))};
}

SessionInfo restore_session(Engine& engine, const std::filesystem::path& path) {
  const io::SafetensorsFile file(path);
  Expected expected;
  DevicePtr device;
  engine.between_steps([&](Scheduler& scheduler) {
    if (!scheduler.has_prefix_cache()) {
      throw UsageError("sessions need the prefix cache: run without --no-prefix-cache");
    }
    expected.fingerprint = scheduler.fingerprint();
    expected.context_tokens = scheduler.context_tokens();
    expected.vocab_size = scheduler.vocab_size();
    device = scheduler.device();
  });
  check_header(file, expected.fingerprint);
  const std::vector<uint64_t> identities = read_identities(file, device);
  const auto length = static_cast<int64_t>(identities.size());
  engine.between_steps([&](Scheduler& scheduler) {
    expected.pages = scheduler.cache().visible_pages(length);
    expected.page_bytes = scheduler.cache().page_bytes();
  });
  check_tokens(file, identities, expected);

  Scheduler::Held blank;
  engine.between_steps([&](Scheduler& scheduler) { blank = scheduler.hold_blank(length); });
  HeldSequence sequence(engine, std::move(blank));
  for (size_t kind = 0; kind < expected.pages.size(); ++kind) {
    if (expected.pages[kind] == 0) continue;
    const Tensor from = file.get(kind_name(kind), device);
    const auto bytes = from.values<uint8_t>();
    size_t at = 0;
    for (const std::span<std::byte> page : sequence.held().pages[kind]) {
      std::memcpy(page.data(), bytes.data() + at, page.size());
      at += page.size();
    }
  }
  // Over what is in memory now: the file may change while it is read.
  if (metadata_of(file, "checksum") != to_hex(checksum_of(identities, sequence.held().pages))) {
    throw CorruptFile(str(file.origin(), ": the session is damaged: its checksum is another"));
  }
  sequence.give_back(identities);
  return {.identities = identities,
          .bytes = static_cast<int64_t>(std::filesystem::file_size(path))};
}

}  // namespace corral::engine
