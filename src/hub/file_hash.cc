#include "hub/file_hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "base/encoding.h"
#include "base/file.h"
#include "hub/hub_errors.h"

namespace corral::hub {
namespace {

constexpr size_t kPieceBytes = size_t{4} << 20;

class Digest {
 public:
  explicit Digest(const EVP_MD* kind) : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    check(context_ && EVP_DigestInit_ex(context_.get(), kind, nullptr) == 1);
  }
  void add(const void* data, size_t bytes) {
    check(EVP_DigestUpdate(context_.get(), data, bytes) == 1);
  }
  std::string digits() {
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    check(EVP_DigestFinal_ex(context_.get(), value, &size) == 1);
    return to_hex({reinterpret_cast<const char*>(value), size});
  }

 private:
  static void check(bool worked) {
    if (!worked) throw Error("libcrypto cannot compute a hash");
  }
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string to_string(FileHash::Kind kind) {
  return kind == FileHash::Kind::kSha256 ? "sha256" : "git";
}

FileHash hash_file(const std::filesystem::path& path, FileHash::Kind kind,
                   const std::atomic<bool>* cancel) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  Digest digest(kind == FileHash::Kind::kSha256 ? EVP_sha256() : EVP_sha1());
  if (kind == FileHash::Kind::kGitBlob) {
    const std::string head = str("blob ", bytes.size());
    digest.add(head.c_str(), head.size() + 1);  // git hashes the zero too
  }
  for (size_t at = 0; at < bytes.size(); at += kPieceBytes) {
    if (cancel != nullptr && cancel->load()) throw Cancelled("stopped");
    digest.add(bytes.data() + at, std::min(kPieceBytes, bytes.size() - at));
  }
  return {kind, digest.digits()};
}

}  // namespace corral::hub
