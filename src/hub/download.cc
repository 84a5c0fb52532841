#include "hub/download.h"

#include <charconv>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "hub/file_hash.h"
#include "hub/http.h"
#include "hub/hub_errors.h"
#include "hub/partial_file.h"
#include "hub/retry.h"
#include "hub/url.h"

namespace corral::hub {
namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(100);

/// "bytes 5-9/100": does it begin at `first`, and is the whole `size`?
bool range_fits(const std::string& header, int64_t first, int64_t size) {
  constexpr std::string_view kUnit = "bytes ";
  if (!header.starts_with(kUnit)) return false;
  int64_t begin = -1;
  std::from_chars(header.data() + kUnit.size(), header.data() + header.size(), begin);
  const size_t slash = header.find('/');
  if (begin != first || slash == header.npos) return false;
  return header.substr(slash + 1) == "*" || header.substr(slash + 1) == std::to_string(size);
}

/// One file on its way.
struct Job {
  const Download* download;
  std::unique_ptr<PartialFile> data = nullptr;
  std::vector<int64_t> missing = {};
  size_t next = 0;        // in missing
  size_t unfinished = 0;  // of missing
};

class Downloader {
 public:
  Downloader(const PullOptions& options, const std::vector<Download>& downloads, int64_t kept_bytes)
      : options_(options), done_bytes_(kept_bytes) {
    for (const Download& download : downloads) jobs_.push_back({.download = &download});
  }

  int64_t run(int64_t total_bytes) {
    std::vector<std::thread> threads;
    threads.reserve(static_cast<size_t>(options_.connections));
    running_ = options_.connections;
    for (int i = 0; i < options_.connections; ++i) threads.emplace_back([this] { work(); });
    watch(total_bytes);
    for (std::thread& thread : threads) thread.join();
    if (failure_) std::rethrow_exception(failure_);
    return fetched_bytes_;
  }

 private:
  void watch(int64_t total_bytes) {
    std::unique_lock lock(mutex_);
    while (running_ > 0) {
      ended_.wait_for(lock, kProgressInterval);
      if (options_.cancel != nullptr && options_.cancel->load()) stop_ = true;
      lock.unlock();
      if (options_.progress) options_.progress(done_bytes_, total_bytes, "");
      lock.lock();
    }
  }

  void work() {
    try {
      HttpClient client({.token = options_.token,
                         .token_origin = origin_of(options_.hub),
                         .connect_seconds = options_.connect_seconds,
                         .stall_seconds = options_.stall_seconds,
                         .cancel = &stop_});
      while (true) {
        const auto [job, part] = next();
        if (job == nullptr) break;
        if (part >= 0) fetch_part(client, *job, part);
        if (part < 0 || finish_part(*job, part)) finish_file(client, *job);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      // What the others say after that is a consequence.
      if (!failure_) failure_ = std::current_exception();
      stop_ = true;
    }
    const std::lock_guard lock(mutex_);
    --running_;
    ended_.notify_all();
  }

  void open(Job& job) {
    const RepoFile& file = job.download->file;
    const auto path = options_.folder / file.path;
    std::filesystem::create_directories(path.parent_path());
    job.data = std::make_unique<PartialFile>(path, file.size_bytes, options_.part_bytes,
                                             str(to_string(file.hash.kind), ":", file.hash.digits));
    job.missing.clear();
    for (int64_t part = 0; part < job.data->parts(); ++part) {
      if (!job.data->is_done(part)) job.missing.push_back(part);
    }
    job.next = 0;
    job.unfinished = job.missing.size();
    done_bytes_ += job.data->done_bytes();
  }

  /// A part to fetch; part -1: all parts are there already. No job: all is given out.
  std::pair<Job*, int64_t> next() {
    const std::lock_guard lock(mutex_);
    if (stop_ || next_job_ == jobs_.size()) return {nullptr, -1};
    Job& job = jobs_[next_job_];
    if (!job.data) open(job);
    if (job.missing.empty()) {
      ++next_job_;
      return {&job, -1};
    }
    const int64_t part = job.missing[job.next++];
    if (job.next == job.missing.size()) ++next_job_;
    return {&job, part};
  }

  /// True: it was the last of its file.
  bool finish_part(Job& job, int64_t part) {
    const std::lock_guard lock(mutex_);
    job.data->mark_done(part);
    return --job.unfinished == 0;
  }

  void fetch_part(HttpClient& client, const Job& job, int64_t part) {
    const RepoFile& file = job.download->file;
    const int64_t begin = job.data->begin_of(part);
    const int64_t end = begin + job.data->bytes_of(part);
    const std::string name = str(options_.repo, "/", file.path);
    Retry retry(options_, &stop_);
    int64_t at = begin;
    std::string wrong;
    bool checked = false;
    const BodySink sink = [&](const HttpResponse& response, std::string_view bytes) {
      if (!checked) {
        if (response.status == 200 && begin == 0 && end == file.size_bytes) {
          done_bytes_ -= at;  // the server sends all again
          at = 0;
          const std::string length = response.header("content-length");
          if (!length.empty() && length != std::to_string(end)) wrong = "has another length";
        } else if (response.status == 200) {
          wrong = "cannot be had in parts: the hub ignores ranges";
        } else if (!range_fits(response.header("content-range"), at, file.size_bytes)) {
          wrong = str("has another length or range: ", response.header("content-range"));
        }
        checked = true;
      }
      if (wrong.empty() && static_cast<int64_t>(bytes.size()) > end - at) {
        wrong = "is longer than the hub's list says";
      }
      if (!wrong.empty()) return false;
      job.data->write(at, bytes.data(), bytes.size());
      const auto arrived = static_cast<int64_t>(bytes.size());
      at += arrived;
      done_bytes_ += arrived;
      fetched_bytes_ += arrived;
      retry.progressed();
      return true;
    };
    while (at < end) {
      checked = false;
      try {
        const HttpResponse response = client.get(job.download->url, ByteRange{at, end - 1}, sink);
        if (!wrong.empty()) {
          throw CorruptFile(
              str(name, " ", wrong, "; the hub's list says ", file.size_bytes, " bytes"));
        }
        const bool has_body = response.status == 200 || response.status == 206;
        if (has_body && at < end) {
          retry.wait(str(name, " ends before its last byte"));
        } else if (!has_body && is_worth_retrying(response.status)) {
          retry.wait(str(name, ": the hub answers ", response.status),
                     response.retry_after_seconds());
        } else if (!has_body) {
          fail_with_status(options_, response);
        }
      } catch (const TransferError& error) {
        retry.wait(error.what());
      }
    }
  }

  void finish_file(HttpClient& client, Job& job) {
    const RepoFile& file = job.download->file;
    if (is_right(job)) return job.data->commit();
    // Once more from the beginning: what lay there from an earlier try may be damaged.
    discard(job);
    {
      const std::lock_guard lock(mutex_);
      open(job);
    }
    for (const int64_t part : job.missing) {
      fetch_part(client, job, part);
      finish_part(job, part);
    }
    if (is_right(job)) return job.data->commit();
    discard(job);
    throw CorruptFile(str(options_.repo, "/", file.path, ": what the hub sent has not the ",
                          to_string(file.hash.kind), " hash ", file.hash.digits,
                          " of its list; removed"));
  }

  bool is_right(const Job& job) const {
    const FileHash& hash = job.download->file.hash;
    return hash_file(job.data->data_path(), hash.kind, &stop_) == hash;
  }

  void discard(Job& job) {
    job.data->discard();
    done_bytes_ -= job.download->file.size_bytes;
  }

  const PullOptions& options_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<Job> jobs_;
  size_t next_job_ = 0;
  int running_ = 0;
  std::exception_ptr failure_;
  std::atomic<bool> stop_ = false;
  std::atomic<int64_t> done_bytes_;
  std::atomic<int64_t> fetched_bytes_ = 0;
};

}  // namespace

int64_t download_all(const PullOptions& options, const std::vector<Download>& downloads,
                     int64_t kept_bytes, int64_t total_bytes) {
  return Downloader(options, downloads, kept_bytes).run(total_bytes);
}

}  // namespace corral::hub
