#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/quota.h"

namespace corral::serve {

/// A key as it is kept: who it belongs to and what it may, never the key itself. Keys are 256
/// random bits, so a plain hash is enough: there is nothing to guess.
struct StoredKey {
  std::string name = {};
  std::string salt = {};    // hexadecimal
  std::string sha256 = {};  // of salt and key, hexadecimal
  int64_t created = 0;
  QuotaLimits limits = {};
};

/// The file of keys: JSON, {"keys": [{"name", "salt", "sha256", "created", "requests_per_minute"?,
/// "tokens_per_minute"?}]}, readable by its owner only. A missing file holds none. Throws IoError,
/// CorruptFile.
std::vector<StoredKey> read_keys(const std::filesystem::path& path);
void write_keys(const std::filesystem::path& path, const std::vector<StoredKey>& keys);

/// A fresh key, "corral-" and 43 characters, and how it is kept. Throws Error when the system has
/// no randomness.
struct NewKey {
  std::string text;
  StoredKey stored;
};
NewKey make_key(const std::string& name, const QuotaLimits& limits);

/// Who may ask. Thread-safe.
class KeyRing {
 public:
  /// plain: keys that the operator chose himself; all of them are one client. file: empty, or a
  /// file of keys that is read again when it changes. Throws UsageError for an empty key, and as
  /// read_keys().
  KeyRing(const std::vector<std::string>& plain, std::filesystem::path file);

  /// Nobody needs a key.
  bool open() const { return plain_.empty() && file_.empty(); }

  struct Client {
    std::string name;
    std::shared_ptr<Quota> quota;  // null: no limits
  };
  /// Whose key this is; absent: nobody's. Takes the same time for keys that are almost right.
  std::optional<Client> find(std::string_view key);

 private:
  struct Entry {
    StoredKey key;
    std::shared_ptr<Quota> quota;
  };
  void read_again();

  std::vector<StoredKey> plain_;
  std::filesystem::path file_;
  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::filesystem::file_time_type changed_{};
  std::chrono::steady_clock::time_point looked_{};
};

}  // namespace corral::serve
