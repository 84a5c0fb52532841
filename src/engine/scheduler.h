#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/expert_routes.h"
#include "engine/fair_queue.h"
#include "engine/job.h"
#include "engine/speculation/speculator.h"
#include "engine/step_budget.h"
#include "kv/prefix_cache.h"
#include "model/text_model.h"

namespace corral::engine {

struct SchedulerOptions {
  int64_t kv_bytes = int64_t{1} << 30;  // for keys and values of all sequences and the prefix cache
  kv::KvTypes kv_types = {};
  int64_t context_tokens = 0;  // longest prompt with answer; 0: the model's
  int64_t max_running = 64;    // answers that grow at the same time
  int64_t max_waiting = 256;   // requests
  int64_t max_choices = 16;    // of one request
  int64_t step_tokens = 512;   // most rows of one pass through the model
  double step_seconds = 0.25;  // what a step with others' prompts should not much exceed
  bool prefix_cache = true;
  std::filesystem::path kv_disk;  // folder for prefixes that memory does not hold; empty: none
  int64_t kv_disk_bytes = int64_t{16} << 30;
  int64_t fetch_bytes = 16 << 20;  // of these read between two steps while answers grow
  quant::Precision precision = quant::Precision::kF32;
  /// Told what answers go on without; called on the scheduler's thread.
  std::function<void(const std::string& message)> trouble = nullptr;

  /// Throws UsageError naming the option and its range.
  void check() const;
};

/// What has happened and what is going on.
struct SchedulerStats {
  int64_t running = 0;  // answers
  int64_t waiting = 0;  // requests
  int64_t kv_bytes = 0;
  int64_t kv_max_bytes = 0;
  int64_t prefix_blocks = 0;
  int64_t prefix_disk_bytes = 0;
  // Since the start:
  int64_t requests = 0;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompts'
  int64_t answer_tokens = 0;
  int64_t steps = 0;
  int64_t step_tokens = 0;   // rows that went through the model
  int64_t drafted = 0;       // tokens that were guessed and checked
  int64_t accepted = 0;      // of these, right
  int64_t parked = 0;        // answers that had to make room
  int64_t loaded_bytes = 0;  // of prefixes that came back from disk
  double busy_seconds = 0;
  std::map<std::string, int64_t> finished;  // answers by reason
};

/// Decides what goes through the model next: continuous batching. Every step takes the next token
/// of each answer and pieces of the prompts that wait, in one flat batch, under one memory budget.
///
/// An answer is what engine::Session would give for the same request: the rows of a batch do not
/// influence each other's bits, and random numbers are counted by answer. So how work is cut,
/// mixed, parked and resumed never shows in the tokens.
///
/// With a speculator a step that feeds no prompt also checks guesses at how the answers go on, as
/// many as pay (docs/decisions/0027).
///
/// When memory runs out, first the prefix cache forgets, then nothing is guessed, then the answer
/// that came last gives its pages back and is computed again later. Everything runs on the caller's
/// thread; not thread-safe.
class Scheduler {
 public:
  /// tokenizer may be null (then there is no text), speculator too (then nothing is guessed).
  /// Throws UsageError for bad options, and when the memory does not hold a single token.
  Scheduler(const model::TextModel& model, std::shared_ptr<const text::Tokenizer> tokenizer,
            const SchedulerOptions& options, std::unique_ptr<Speculator> speculator = nullptr);
  ~Scheduler();

  /// Throws UsageError saying what is wrong with a request and which limit it exceeds. Thread-safe.
  void check(const Request& request) const;
  int64_t embedding_width() const { return model_.config().hidden_size; }
  /// The longest prompt with answer: what options, model and memory allow. Thread-safe.
  int64_t context_tokens() const { return context_tokens_; }

  /// Queues a request that passed check(). Ids are the caller's and unique.
  void add(int64_t id, Request request);
  /// Ends a request at the next step; unknown ids (it may just have ended) are ignored.
  void cancel(int64_t id);
  /// One pass through the model, or less if there is nothing to do.
  void step();
  /// Nothing waits and nothing runs.
  bool idle() const { return running_.empty() && waiting_.size() == 0; }
  /// Ends everything with this error.
  void fail_all(const std::string& error);

  /// A sequence that is held outside of any request, to be read or filled by another thread while
  /// this one goes on: pages by kind of layer, as KvCache::pages().
  struct Held {
    int64_t sequence = -1;
    int64_t length = 0;
    std::vector<std::vector<std::span<std::byte>>> pages;
  };
  /// The longest beginning of these tokens that the prefix cache knows.
  Held hold_known(std::span<const uint64_t> identities);
  /// A blank one. Forgets prefixes for its memory; throws Error when that is not enough.
  Held hold_blank(int64_t length);
  /// Gives it back; with identities (as many as its length) the prefix cache remembers it.
  void release(const Held& held, std::span<const uint64_t> identities = {});
  /// Tells apart what gives other bits of keys and values: another model, layout or precision,
  /// other kernels. Found by asking the model, the first time; two models that differ only in
  /// experts which 64 tokens do not reach look the same.
  uint64_t fingerprint();
  bool has_prefix_cache() const { return prefixes_.has_value(); }
  int64_t vocab_size() const { return model_.config().vocab_size; }
  const DevicePtr& device() const { return model_.device(); }

  SchedulerStats stats() const;
  const kv::KvCache& cache() const { return cache_; }
  /// Forgets all prefixes.
  void clear_prefix_cache();

 private:
  struct Piece {
    Job* job;
    Choice* choice;
    int64_t length;         // tokens of the choice; behind them go those of the draft
    Draft draft = {};       // only behind an answer's last token
    int64_t accepted = 0;   // of the draft
    int64_t first_row = 0;  // in the batch
    // Rows at its end whose vectors are needed, and the first of them among those of all pieces.
    int64_t needed = 0;
    int64_t first_vector = 0;

    int64_t rows() const { return length + std::ssize(draft.tokens); }
    int64_t last_vector() const { return first_vector + needed - 1; }
  };
  struct Sampled;

  void drop_ended();
  void admit();
  bool has_room(const Choice& choice) const;
  int64_t active_answers() const;
  bool still_on_disk(Job& job, const Choice& choice);
  void open(Job& job, Choice& choice);
  std::unique_ptr<Choice> make_choice(const Request& request, int64_t index);

  std::vector<Piece> plan() const;
  static int64_t count_rows(const std::vector<Piece>& pieces);
  bool guess(std::vector<Piece>& pieces);
  void give_up_guessing(const char* reason);
  static bool drop_guesses(std::vector<Piece>& pieces);
  void learn_from(const std::vector<Piece>& pieces);
  kv::Batch make_batch(std::vector<Piece>& pieces) const;
  kv::Batch make_room(std::vector<Piece>& pieces);
  bool park_last(std::vector<Piece>& pieces);

  void run(std::vector<Piece>& pieces, const kv::Batch& batch);
  static int64_t rows_needed(const Piece& piece);
  static void add_to_embedding(const Piece& piece, const Tensor& hidden_ND);
  void read_prompt_logprobs(const Piece& piece, const Tensor& hidden_ND);
  void finish_prompt(Job& job);
  std::vector<Sampled> find_due(std::vector<Piece>& pieces) const;
  Tensor logits_of(const std::vector<Sampled>& due, const Tensor& hidden_ND) const;
  std::vector<Sampled> sample(std::vector<Piece>& pieces, const Tensor& hidden_ND,
                              const ExpertRoutes& routes);
  static void choose(Sampled& sampled, const Tensor& logits_NV, const ExpertRoutes& routes);
  void take(Sampled& sampled);
  void finish(Job& job, Choice& choice);
  void close(Choice& choice);
  void end_job(Job& job, FinishReason reason, const std::string& error);
  void sweep();
  void tell(Job& job, const std::function<void(Sink&)>& call);

  const model::TextModel& model_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  SchedulerOptions options_;
  kv::KvCache cache_;
  std::optional<kv::PrefixCache> prefixes_;
  model::ForwardOptions forward_;
  int64_t context_tokens_;
  StepBudget budget_;
  std::unique_ptr<Speculator> speculator_;  // null: nothing is guessed
  int64_t next_text_ = 0;                   // its key for the next choice
  FairQueue waiting_;
  std::list<std::unique_ptr<Job>> running_;  // by priority, then in the order of admission
  SchedulerStats stats_;
  std::optional<uint64_t> fingerprint_;
};

}  // namespace corral::engine
