#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace corral::engine {
namespace {

void check_option(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return;
  throw UsageError(str(name, " is ", value, ", needs ", low, " to ", high));
}

// Tokens that an answer should be able to grow before it has to make room for another.
constexpr int64_t kHeadroomTokens = 64;
constexpr int64_t kMostLogprobs = 100;
constexpr int64_t kMostFetches = 1 << 12;

// The longest sequence whose pages fit.
int64_t longest_that_fits(const kv::KvCache& cache, int64_t most, int64_t piece) {
  int64_t fits = 0;
  while (fits < most) {
    const int64_t middle = fits + (most - fits + 1) / 2;
    if (cache.most_bytes(middle, piece) <= cache.max_bytes()) {
      fits = middle;
    } else {
      most = middle - 1;
    }
  }
  return fits;
}

// Log probabilities or the mean of the prompt need all of it to go through the model.
bool reads_prompt(const Job& job) {
  return !job.prompt_done &&
         (job.request.prompt_logprobs.has_value() || job.request.embedding == Pooling::kMean);
}

// What the prefix cache may know of it: the last token always goes through the model, for its
// logits.
std::span<const uint64_t> known_part(const Choice& choice) {
  return std::span(choice.identities).first(choice.identities.size() - 1);
}

}  // namespace

void SchedulerOptions::check() const {
  constexpr int64_t kMuch = int64_t{1} << 50;
  check_option("kv_bytes", kv_bytes, 1, kMuch);
  check_option("context_tokens", context_tokens, 0, kMuch);
  check_option("max_waiting", max_waiting, 1, 1 << 20);
  check_option("max_choices", max_choices, 1, 1 << 10);
  check_option("fetch_bytes", fetch_bytes, 1, kMuch);
  check_option("step_tokens", step_tokens, 1, 1 << 16);
  check_option("max_running", max_running, 1, step_tokens);
  if (!(step_seconds > 0 && step_seconds <= 3600)) {
    throw UsageError(str("step_seconds is ", step_seconds, ", needs more than 0 to 3600"));
  }
}

Scheduler::Scheduler(const model::TextModel& model,
                     std::shared_ptr<const text::Tokenizer> tokenizer,
                     const SchedulerOptions& options, std::unique_ptr<Speculator> speculator)
    : model_(model),
      tokenizer_(std::move(tokenizer)),
      options_(options),
      cache_(model.kv_layout(options.kv_types), model.device(), options.kv_bytes),
      context_tokens_(model.config().max_position_embeddings),
      budget_(options.step_tokens, options.step_seconds),
      speculator_(std::move(speculator)) {
  options.check();
  forward_.cache = &cache_;
  forward_.precision = options.precision;
  if (options.prefix_cache) {
    auto disk = options.kv_disk.empty()
                    ? nullptr
                    : std::make_unique<kv::PageFile>(options.kv_disk, options.kv_disk_bytes);
    prefixes_.emplace(cache_, std::move(disk));
  }
  if (options.context_tokens > 0) {
    context_tokens_ = std::min(context_tokens_, options.context_tokens);
  }
  context_tokens_ = longest_that_fits(cache_, context_tokens_, options.step_tokens);
  if (context_tokens_ < 2) {
    throw UsageError(str("kv_bytes is ", options.kv_bytes, ": two tokens alone need ",
                         cache_.most_bytes(2, options.step_tokens)));
  }
}

Scheduler::~Scheduler() = default;

void Scheduler::check(const Request& request) const {
  const auto tokens = static_cast<int64_t>(request.prompt.tokens.size());
  if (tokens == 0) throw UsageError("an empty prompt: the model needs at least one token");
  const int64_t V = model_.config().vocab_size;
  for (const int32_t token : request.prompt.tokens) {
    if (token < 0 || token >= V) {
      throw UsageError(str("the prompt's token ", token, " is none of the ", V, " of the model"));
    }
  }
  for (const int32_t token : request.expected) {
    if (token < 0 || token >= V) {
      throw UsageError(str("the expected token ", token, " is none of the ", V, " of the model"));
    }
  }
  for (const EncodedImagePtr& image : request.prompt.images) {
    if (image->vectors_MW.dim(1) == model_.config().hidden_size) continue;
    throw UsageError(str("the prompt's image has vectors of ", image->vectors_MW.dim(1),
                         " numbers, the model takes ", model_.config().hidden_size));
  }
  static_cast<void>(request.prompt.identities());  // as many placeholders as vectors
  for (const auto& [token, bias] : request.options.sampling.logit_bias) {
    if (token < 0 || token >= V) {
      throw UsageError(str("logit_bias: ", token, " is none of the ", V, " tokens of the model"));
    }
  }
  request.options.sampling.check();
  check_option("n", request.choices, 1, options_.max_choices);
  check_option("max_tokens", request.options.max_tokens, 0, context_tokens_);
  check_option("logprobs", request.options.logprobs.value_or(0), 0, kMostLogprobs);
  check_option("prompt logprobs", request.prompt_logprobs.value_or(0), 0, kMostLogprobs);
  if (request.sink == nullptr) throw UsageError("a request without sink");
  if (tokens > context_tokens_ - request.options.max_tokens) {
    throw UsageError(str("the prompt has ", tokens, " tokens and the answer may have ",
                         request.options.max_tokens, ": together more than the context of ",
                         context_tokens_, " tokens that model and memory allow"));
  }
}

void Scheduler::add(int64_t id, Request request) {
  auto job = std::make_unique<Job>();
  job->id = id;
  job->prompt.tokens = static_cast<int64_t>(request.prompt.tokens.size());
  if (speculator_ != nullptr && !request.expected.empty()) {
    const std::vector<int32_t>& prompt = request.prompt.tokens;
    const auto before = static_cast<ptrdiff_t>(std::min(kContextTokens, prompt.size()));
    job->expected = std::move(request.expected);
    job->expected.insert(job->expected.begin(), prompt.end() - before, prompt.end());
  }
  job->request = std::move(request);
  waiting_.push(std::move(job));
  ++stats_.requests;
}

void Scheduler::cancel(int64_t id) {
  for (const auto& job : running_) {
    if (job->id == id) job->cancelled = true;
  }
  for (const auto& job : waiting_.take_if([&](const Job& j) { return j.id == id; })) {
    end_job(*job, FinishReason::kCancelled, "");
  }
}

// A sink that throws has lost its reader.
void Scheduler::tell(Job& job, const std::function<void(Sink&)>& call) {
  try {
    call(*job.request.sink);
  } catch (const std::exception&) {
    job.cancelled = true;
  }
}

void Scheduler::drop_ended() {
  const auto now = Clock::now();
  const auto late = [&](const Job& job) {
    return job.request.deadline.has_value() && *job.request.deadline <= now;
  };
  for (const auto& job : waiting_.take_if(late)) end_job(*job, FinishReason::kDeadline, "");
  for (const auto& job : running_) {
    if (job->cancelled) {
      end_job(*job, FinishReason::kCancelled, "");
    } else if (late(*job)) {
      end_job(*job, FinishReason::kDeadline, "");
    }
  }
  sweep();
}

int64_t Scheduler::active_answers() const {
  int64_t active = 0;
  for (const auto& job : running_) {
    for (const auto& choice : job->choices) active += choice->sequence >= 0 ? 1 : 0;
  }
  return active;
}

bool Scheduler::has_room(const Choice& choice) const {
  const auto tokens = static_cast<int64_t>(choice.tokens.size());
  const int64_t need =
      cache_.most_bytes(std::min(tokens + kHeadroomTokens, context_tokens_), options_.step_tokens);
  if (cache_.bytes() <= cache_.max_bytes() - need) return true;
  const int64_t can_be_freed = prefixes_ ? prefixes_->bytes_alone() : 0;
  return cache_.bytes() - can_be_freed <= cache_.max_bytes() - need;
}

std::unique_ptr<Choice> Scheduler::make_choice(const Request& request, int64_t index) {
  GenerateOptions options = request.options;
  options.sampling.seed += static_cast<uint64_t>(index);
  return std::make_unique<Choice>(Choice{.index = index,
                                         .generation = Generation(tokenizer_, options),
                                         .tokens = request.prompt.tokens,
                                         .identities = request.prompt.identities(),
                                         .text = next_text_++});
}

// While answers grow, a beginning that lies on disk comes into memory between their steps, in
// pieces that do not hold them up.
bool Scheduler::still_on_disk(Job& job, const Choice& choice) {
  if (!prefixes_ || active_answers() == 0 || reads_prompt(job)) return false;
  // What others need may push it out again: then it is read at once in the end.
  if (job.fetches > kMostFetches) return false;
  if (!prefixes_->fetch(known_part(choice), options_.fetch_bytes)) return false;
  ++job.fetches;
  return true;
}

// The sequence of a choice begins with what the prefix cache knows.
void Scheduler::open(Job& job, Choice& choice) {
  if (prefixes_ && !reads_prompt(job)) {
    const auto match = prefixes_->restore(known_part(choice));
    choice.sequence = match.sequence;
    choice.fed = match.length;
  } else {
    choice.sequence = cache_.create();
    choice.fed = 0;
  }
  if (!job.prompt_done) {
    job.prompt.cached_tokens = choice.fed;
    job.prompt.logprobs.clear();
    job.hidden_sum_D.clear();
  }
}

void Scheduler::admit() {
  // Parked answers first: they were promised to go on.
  for (const auto& job : running_) {
    for (const auto& choice : job->choices) {
      if (choice->sequence >= 0) continue;
      if (active_answers() > 0 && !has_room(*choice)) return;
      if (still_on_disk(*job, *choice)) return;
      open(*job, *choice);
    }
  }
  while (Job* next = waiting_.front()) {
    int64_t answers = next->request.choices;
    for (const auto& job : running_) {
      answers +=
          job->prompt_done ? static_cast<int64_t>(job->choices.size()) : job->request.choices;
    }
    if (answers > options_.max_running && !running_.empty()) return;
    std::unique_ptr<Choice> choice = make_choice(next->request, 0);
    if (active_answers() > 0 && !has_room(*choice)) return;
    if (still_on_disk(*next, *choice)) return;
    std::unique_ptr<Job> job = waiting_.pop();
    open(*job, *choice);
    job->choices.push_back(std::move(choice));
    const auto place = std::find_if(running_.begin(), running_.end(), [&](const auto& other) {
      return other->request.priority < job->request.priority;
    });
    running_.insert(place, std::move(job));
  }
}

void Scheduler::step() {
  drop_ended();
  admit();
  std::vector<Piece> pieces = plan();
  if (pieces.empty()) return;
  const auto start = Clock::now();
  const bool guessed = guess(pieces);
  const int64_t rows = count_rows(pieces);
  const kv::Batch batch = make_room(pieces);
  int64_t decoding = 0;
  int64_t drafted = 0;
  for (const Piece& piece : pieces) {
    decoding += piece.choice->pending() == 1 ? 1 : 0;
    drafted += std::ssize(piece.draft.tokens);
  }
  try {
    run(pieces, batch);
    if (guessed && batch.size() == rows) learn_from(pieces);
  } catch (const std::exception& error) {
    // Nothing was committed that is not whole: the others go on.
    for (const Piece& piece : pieces) {
      if (!piece.job->choices.empty()) end_job(*piece.job, FinishReason::kFailed, error.what());
    }
  }
  sweep();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (drafted == 0) budget_.record(decoding, batch.size() - decoding, seconds);
  ++stats_.steps;
  stats_.step_tokens += batch.size();
  stats_.busy_seconds += seconds;
}

void Scheduler::fail_all(const std::string& error) {
  for (const auto& job : running_) end_job(*job, FinishReason::kFailed, error);
  sweep();
  for (const auto& job : waiting_.take_if([](const Job&) { return true; })) {
    end_job(*job, FinishReason::kFailed, error);
  }
}

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats = stats_;
  for (const auto& job : running_) stats.running += static_cast<int64_t>(job->choices.size());
  stats.waiting = static_cast<int64_t>(waiting_.size());
  stats.kv_bytes = cache_.bytes();
  stats.kv_max_bytes = cache_.max_bytes();
  stats.prefix_blocks = prefixes_ ? prefixes_->blocks() : 0;
  stats.prefix_disk_bytes = prefixes_ ? prefixes_->disk_bytes() : 0;
  stats.loaded_bytes = prefixes_ ? prefixes_->loaded_bytes() : 0;
  if (speculator_ != nullptr) {
    stats.drafted = speculator_->stats().drafted;
    stats.accepted = speculator_->stats().accepted;
  }
  return stats;
}

void Scheduler::clear_prefix_cache() {
  if (prefixes_) prefixes_->clear();
}

}  // namespace corral::engine
