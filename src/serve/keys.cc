#include "serve/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "serve/api_json.h"
#include "serve/service.h"

namespace corral::serve {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{16} << 20;
constexpr int64_t kMostPerMinute = int64_t{1} << 50;
constexpr auto kLookEvery = std::chrono::seconds(1);
constexpr size_t kSaltBytes = 16;
constexpr size_t kKeyBytes = 32;
constexpr size_t kLongestKey = 1024;

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1) {
    throw Error("the system gives no random bytes");
  }
  return bytes;
}

std::string hash(const std::string& salt, std::string_view key) {
  const std::string text = salt + std::string(key);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    throw Error("SHA-256 is not available");
  }
  return to_hex({reinterpret_cast<const char*>(digest.data()), length});
}

bool fits(const StoredKey& stored, std::string_view key) {
  const std::string digest = hash(stored.salt, key);
  return digest.size() == stored.sha256.size() &&
         CRYPTO_memcmp(digest.data(), stored.sha256.data(), digest.size()) == 0;
}

bool is_hex(const std::string& text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

StoredKey key_of(const Json& json, const std::string& what) {
  const auto fail = [&](const char* why) { throw CorruptFile(str(what, ": a key ", why)); };
  const auto text = [&](const char* name) {
    if (!json.is_object() || !json.contains(name) || !json[name].is_string()) {
      fail((std::string("has no text \"") + name + "\"").c_str());
    }
    return json[name].get<std::string>();
  };
  const auto number = [&](const char* name) -> int64_t {
    if (!json.contains(name)) return 0;
    if (!json[name].is_number_integer() || json[name] < 0 || json[name] > kMostPerMinute) {
      fail((std::string("has a \"") + name + "\" that is no whole number from 0 on").c_str());
    }
    return json[name].get<int64_t>();
  };
  StoredKey key{.name = text("name"), .salt = text("salt"), .sha256 = text("sha256")};
  if (key.name.empty()) fail("has no name");
  if (!is_hex(key.salt, 2 * kSaltBytes) || !is_hex(key.sha256, 64)) fail("has a hash that is none");
  key.created = number("created");
  key.limits = {number("requests_per_minute"), number("tokens_per_minute")};
  return key;
}

}  // namespace

std::vector<StoredKey> read_keys(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  const std::string what = path.string();
  const Json json = parse_json(read_file(path, kMaxFileBytes), what);
  if (!json.is_object() || !json.contains("keys") || !json["keys"].is_array()) {
    throw CorruptFile(what + ": no list \"keys\"");
  }
  std::vector<StoredKey> keys;
  for (const Json& one : json["keys"]) {
    keys.push_back(key_of(one, what));
    const auto same = [&](const StoredKey& other) { return other.name == keys.back().name; };
    if (std::count_if(keys.begin(), keys.end(), same) > 1) {
      throw CorruptFile(str(what, ": two keys are called '", keys.back().name, "'"));
    }
  }
  return keys;
}

void write_keys(const std::filesystem::path& path, const std::vector<StoredKey>& keys) {
  OrderedJson list = OrderedJson::array();
  for (const StoredKey& key : keys) {
    OrderedJson one;
    one["name"] = key.name;
    one["salt"] = key.salt;
    one["sha256"] = key.sha256;
    one["created"] = key.created;
    if (key.limits.requests_per_minute > 0)
      one["requests_per_minute"] = key.limits.requests_per_minute;
    if (key.limits.tokens_per_minute > 0) one["tokens_per_minute"] = key.limits.tokens_per_minute;
    list.push_back(std::move(one));
  }
  const mode_t before = ::umask(S_IRWXG | S_IRWXO);
  try {
    write_file_atomically(path, OrderedJson({{"keys", list}}).dump(2) + "\n");
  } catch (...) {
    ::umask(before);
    throw;
  }
  ::umask(before);
}

NewKey make_key(const std::string& name, const QuotaLimits& limits) {
  std::string text = "corral-" + base64_encode(random_bytes(kKeyBytes));
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  text.erase(text.find_last_not_of('=') + 1);
  StoredKey stored{.name = name, .salt = to_hex(random_bytes(kSaltBytes)), .limits = limits};
  stored.sha256 = hash(stored.salt, text);
  stored.created = seconds_since_1970();
  return {std::move(text), std::move(stored)};
}

KeyRing::KeyRing(const std::vector<std::string>& plain, std::filesystem::path file)
    : file_(std::move(file)) {
  for (const std::string& key : plain) {
    if (key.empty()) throw UsageError("an API key is empty");
    StoredKey stored{.name = "operator", .salt = to_hex(random_bytes(kSaltBytes))};
    stored.sha256 = hash(stored.salt, key);
    plain_.push_back(std::move(stored));
  }
  if (file_.empty()) return;
  if (!std::filesystem::exists(file_)) {
    throw IoError(
        str(file_.string(), ": there is no such file of keys: `corral keys add` makes one"));
  }
  for (StoredKey& key : read_keys(file_)) entries_.push_back({std::move(key), nullptr});
  read_again();
}

// A file that cannot be read changes nothing: the keys stay those of before.
void KeyRing::read_again() {
  const auto now = std::chrono::steady_clock::now();
  if (file_.empty() || now - looked_ < kLookEvery) return;
  looked_ = now;
  std::error_code error;
  const auto changed = std::filesystem::last_write_time(file_, error);
  if (error || changed == changed_) return;
  try {
    std::vector<Entry> entries;
    for (StoredKey& key : read_keys(file_)) {
      Entry entry{.key = std::move(key), .quota = nullptr};
      const auto same = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& old) {
        return old.key.name == entry.key.name && old.quota != nullptr &&
               old.quota->limits() == entry.key.limits;
      });
      // What a client has used counts on.
      if (same != entries_.end()) {
        entry.quota = same->quota;
      } else if (entry.key.limits != QuotaLimits{}) {
        entry.quota = std::make_shared<Quota>(entry.key.limits, now);
      }
      entries.push_back(std::move(entry));
    }
    entries_ = std::move(entries);
    changed_ = changed;
  } catch (const Error&) {
  }
}

std::optional<KeyRing::Client> KeyRing::find(std::string_view key) {
  if (key.empty() || key.size() > kLongestKey) return std::nullopt;
  const std::lock_guard lock(mutex_);
  read_again();
  std::optional<Client> found;
  for (const StoredKey& stored : plain_) {
    if (fits(stored, key)) found = Client{stored.name, nullptr};
  }
  for (const Entry& entry : entries_) {
    if (fits(entry.key, key)) found = Client{"key:" + entry.key.name, entry.quota};
  }
  return found;
}

}  // namespace corral::serve
