#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace corral::hub {

/// A file that arrives in parts, in any order, beside its final name: NAME.partial holds the data,
/// NAME.parts one line for each part that is complete, so that a download that was killed goes on
/// with the parts that are missing. Not thread-safe, but write() may run in several threads at once
/// for different bytes.
class PartialFile {
 public:
  /// Takes up what an earlier download of the same content left; anything else there is replaced.
  /// identity: what the content is (its hash). Throws IoError.
  PartialFile(std::filesystem::path path, int64_t size_bytes, int64_t part_bytes,
              const std::string& identity);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  int64_t parts() const { return static_cast<int64_t>(done_.size()); }
  int64_t begin_of(int64_t part) const { return part * part_bytes_; }
  int64_t bytes_of(int64_t part) const;
  bool is_done(int64_t part) const { return done_[static_cast<size_t>(part)]; }
  int64_t done_bytes() const;
  const std::filesystem::path& data_path() const { return data_path_; }

  void write(int64_t offset, const void* data, size_t bytes);
  /// The part is complete, now and after a restart.
  void mark_done(int64_t part);
  /// The content is right: flushes it and gives it its name.
  void commit();
  /// The content is wrong: removes everything.
  void discard();

 private:
  bool take_up(const std::string& head);
  void begin_again(const std::string& head);
  void close();

  std::filesystem::path path_;
  std::filesystem::path data_path_;
  std::filesystem::path parts_path_;
  int64_t size_bytes_;
  int64_t part_bytes_;
  std::vector<bool> done_;
  int data_ = -1;
  int journal_ = -1;
};

}  // namespace corral::hub
