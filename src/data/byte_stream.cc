#include "data/byte_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace corral::data {

struct ByteStream::State {
  std::filesystem::path path;
  int descriptor = -1;
  ZSTD_DCtx* decoder = nullptr;  // null for plain files
  std::vector<char> compressed;
  ZSTD_inBuffer input{nullptr, 0, 0};
  bool inside_frame = false;

  ~State() {
    if (descriptor >= 0) ::close(descriptor);
    ZSTD_freeDCtx(decoder);
  }

  IoError io_error(const char* action) const {
    const int reason = errno;
    return IoError(
        str("cannot ", action, " ", path.string(), ": ", std::generic_category().message(reason)));
  }

  size_t read_raw(char* out, size_t size) {
    size_t done = 0;
    while (done < size) {
      const ssize_t got = ::read(descriptor, out + done, size - done);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw io_error("read");
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  size_t read_zstd(std::span<char> out) {
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    bool input_ended = false;
    while (output.pos < output.size) {
      if (input.pos == input.size && !input_ended) {
        input = {compressed.data(), read_raw(compressed.data(), compressed.size()), 0};
        input_ended = input.size == 0;
      }
      if (input_ended && !inside_frame) break;
      const size_t before = output.pos;
      const size_t left = ZSTD_decompressStream(decoder, &output, &input);
      if (ZSTD_isError(left) != 0) {
        throw CorruptFile(str(path.string(), ": broken zstd data: ", ZSTD_getErrorName(left)));
      }
      inside_frame = left != 0;
      if (input_ended && inside_frame && output.pos == before) {
        throw CorruptFile(str(path.string(), ": ends in the middle of a zstd frame"));
      }
    }
    return output.pos;
  }
};

ByteStream::ByteStream(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->path = path;
  // Without O_NONBLOCK, opening a pipe nobody writes to would hang before we can refuse it.
  state_->descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (state_->descriptor < 0) throw state_->io_error("open");
  struct stat info {};
  if (::fstat(state_->descriptor, &info) != 0) throw state_->io_error("inspect");
  if (!S_ISREG(info.st_mode)) {
    throw IoError(str("cannot read ", path.string(), ": not a regular file"));
  }
  if (path.extension() == ".zst") {
    state_->decoder = ZSTD_createDCtx();
    if (state_->decoder == nullptr) throw Error("no memory for a zstd decoder");
    state_->compressed.resize(ZSTD_DStreamInSize());
  }
}

ByteStream::~ByteStream() = default;
ByteStream::ByteStream(ByteStream&&) noexcept = default;
ByteStream& ByteStream::operator=(ByteStream&&) noexcept = default;

size_t ByteStream::read(std::span<char> out) {
  return state_->decoder != nullptr ? state_->read_zstd(out)
                                    : state_->read_raw(out.data(), out.size());
}

}  // namespace corral::data
