// One pass through the model: what goes in, and what comes out of it.
#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "autograd/tape.h"
#include "base/error.h"
#include "engine/scheduler.h"

namespace corral::engine {
namespace {

// Rows of logits made at once for a prompt: with a vocabulary of 202048 they take 51 MB.
constexpr int64_t kLogitRows = 64;

}  // namespace

/// The next tokens of one answer, or why there are no more.
struct Scheduler::Sampled {
  Piece* piece;    // whose last vector decides the first of them, and the draft's the next
  Choice* choice;  // another than the piece's, when that is the prompt of several
  int64_t row;     // of the logits
  std::vector<Step> steps = {};
  std::string error = {};

  bool has_draft() const { return piece->choice == choice && !piece->draft.tokens.empty(); }
};

// Each answer's next token first, then prompts in equal shares of what is left. The share of a
// short prompt goes to those after it; who is first changes from step to step.
std::vector<Scheduler::Piece> Scheduler::plan() const {
  std::vector<Piece> pieces;
  std::vector<Piece> feeding;
  for (const auto& job : running_) {
    for (const auto& choice : job->choices) {
      if (choice->sequence < 0) continue;
      auto& list = choice->pending() == 1 ? pieces : feeding;
      list.push_back({job.get(), choice.get(), choice->pending()});
    }
  }
  // More answers than rows happen only with many choices: those behind wait for the next step.
  if (static_cast<int64_t>(pieces.size()) > options_.step_tokens) {
    const auto turn = stats_.steps % static_cast<int64_t>(pieces.size());
    std::rotate(pieces.begin(), pieces.begin() + turn, pieces.end());
    pieces.resize(static_cast<size_t>(options_.step_tokens));
  }
  int64_t left = options_.step_tokens - static_cast<int64_t>(pieces.size());
  if (!pieces.empty()) left = std::min(left, budget_.prompt_tokens());
  if (feeding.empty()) return pieces;
  const auto turn = stats_.steps % static_cast<int64_t>(feeding.size());
  std::rotate(feeding.begin(), feeding.begin() + turn, feeding.end());
  auto behind = static_cast<int64_t>(feeding.size());
  for (Piece& piece : feeding) {
    if (left == 0) break;
    const int64_t share = std::max(left / behind--, std::min(left, StepBudget::kLeastTokens));
    piece.length = std::min(piece.length, share);
    left -= piece.length;
    pieces.push_back(piece);
  }
  return pieces;
}

kv::Batch Scheduler::make_batch(std::vector<Piece>& pieces) const {
  std::vector<PromptPiece> parts;
  std::deque<std::vector<int32_t>> drafted;  // tokens with the draft behind them
  int64_t rows = 0;
  for (Piece& piece : pieces) {
    const Choice& choice = *piece.choice;
    const auto first = static_cast<size_t>(choice.fed);
    const auto length = static_cast<size_t>(piece.length);
    piece.first_row = rows;
    rows += piece.rows();
    std::span<const int32_t> tokens = std::span(choice.tokens).subspan(first, length);
    if (!piece.draft.tokens.empty()) {
      auto& both = drafted.emplace_back(tokens.begin(), tokens.end());
      both.insert(both.end(), piece.draft.tokens.begin(), piece.draft.tokens.end());
      tokens = both;
    }
    parts.push_back({.tokens = tokens,
                     .identities = std::span(choice.identities).subspan(first, length),
                     .images = piece.job->request.prompt.images,
                     .first_position = choice.fed,
                     .sequence = choice.sequence});
  }
  return batch_of(parts);
}

// The batch of these pieces, less guesses and those of answers that had to be parked for its
// memory.
kv::Batch Scheduler::make_room(std::vector<Piece>& pieces) {
  while (true) {
    kv::Batch batch = make_batch(pieces);
    if (cache_.has_room_for(batch)) return batch;
    if (prefixes_ && prefixes_->forget_one()) continue;
    if (drop_guesses(pieces)) continue;
    // One answer alone always fits: check() saw to it.
    if (!park_last(pieces)) throw Error("a single answer does not fit in the KV cache");
  }
}

bool Scheduler::park_last(std::vector<Piece>& pieces) {
  if (active_answers() < 2) return false;
  for (auto job = running_.rbegin(); job != running_.rend(); ++job) {
    auto& choices = (*job)->choices;
    for (auto choice = choices.rbegin(); choice != choices.rend(); ++choice) {
      Choice& last = **choice;
      if (last.sequence < 0) continue;
      std::erase_if(pieces, [&](const Piece& piece) { return piece.choice == &last; });
      cache_.release(last.sequence);
      last.sequence = -1;
      last.fed = 0;
      ++stats_.parked;
      return true;
    }
  }
  return false;
}

// Rows at the end of a piece whose vectors something is made of: the next token, the prompt's
// probabilities, an embedding.
int64_t Scheduler::rows_needed(const Piece& piece) {
  const Job& job = *piece.job;
  const bool all = job.request.prompt_logprobs || job.request.embedding == Pooling::kMean;
  if (all && !job.prompt_done) return piece.length;
  return piece.length == piece.choice->pending() ? 1 + std::ssize(piece.draft.tokens) : 0;
}

void Scheduler::run(std::vector<Piece>& pieces, const kv::Batch& batch) {
  const autograd::NoGrad no_grad;  // the model may be one in training
  ExpertRoutes routes;
  for (const Piece& piece : pieces) {
    if (!piece.job->request.expert_routing || piece.length < piece.choice->pending()) continue;
    for (int64_t row = piece.length - 1; row < piece.rows(); ++row) {
      routes.watch(piece.first_row + row);
    }
  }
  model::ForwardOptions forward = forward_;
  if (routes.watches_any()) forward.observer = &routes;
  std::vector<int64_t> needed;
  for (Piece& piece : pieces) {
    piece.needed = rows_needed(piece);
    piece.first_vector = std::ssize(needed);
    for (int64_t row = piece.rows() - piece.needed; row < piece.rows(); ++row) {
      needed.push_back(piece.first_row + row);
    }
  }
  const Tensor hidden_ND = model_.hidden_of(batch, needed, forward);
  for (const Piece& piece : pieces) {
    Job& job = *piece.job;
    if (job.request.prompt_logprobs && !job.prompt_done) read_prompt_logprobs(piece, hidden_ND);
    if (job.request.embedding && !job.prompt_done) add_to_embedding(piece, hidden_ND);
    piece.choice->fed += piece.length;
  }
  for (const Piece& piece : pieces) {
    if (piece.choice->pending() == 0 && !piece.job->prompt_done) finish_prompt(*piece.job);
  }
  for (Sampled& sampled : sample(pieces, hidden_ND, routes)) take(sampled);
}

// Rows are added one by one, so that the pieces make no difference.
void Scheduler::add_to_embedding(const Piece& piece, const Tensor& hidden_ND) {
  Job& job = *piece.job;
  const auto D = static_cast<size_t>(hidden_ND.dim(1));
  const bool mean = job.request.embedding == Pooling::kMean;
  if (job.hidden_sum_D.empty()) job.hidden_sum_D.assign(D, 0);
  for (int64_t row = 0; row < piece.needed; ++row) {
    const float* from = hidden_ND.data<float>() + (piece.first_vector + row) * hidden_ND.dim(1);
    for (size_t d = 0; d < D; ++d) job.hidden_sum_D[d] = from[d] + (mean ? job.hidden_sum_D[d] : 0);
  }
}

void Scheduler::read_prompt_logprobs(const Piece& piece, const Tensor& hidden_ND) {
  Job& job = *piece.job;
  const int64_t first = piece.choice->fed;
  // The prompt's last token predicts the answer, not the prompt.
  const int64_t rows = std::min(piece.length, job.prompt.tokens - 1 - first);
  const auto V = static_cast<size_t>(model_.config().vocab_size);
  for (int64_t begin = 0; begin < rows; begin += kLogitRows) {
    const int64_t end = std::min(rows, begin + kLogitRows);
    const Tensor logits = model_.logits(
        hidden_ND.rows(piece.first_vector + begin, piece.first_vector + end), forward_);
    for (int64_t row = begin; row < end; ++row) {
      const int32_t next = job.request.prompt.tokens[static_cast<size_t>(first + row + 1)];
      job.prompt.logprobs.push_back(
          token_logprobs(logits.values<float>().subspan(static_cast<size_t>(row - begin) * V, V),
                         next, *job.request.prompt_logprobs));
    }
  }
}

// The prompt is in the cache: others may use it, and the other choices begin where it ends.
void Scheduler::finish_prompt(Job& job) {
  job.prompt_done = true;
  stats_.prompt_tokens += job.prompt.tokens;
  stats_.cached_tokens += job.prompt.cached_tokens;
  const double rows =
      job.request.embedding == Pooling::kMean ? static_cast<double>(job.prompt.tokens) : 1;
  for (const double sum : job.hidden_sum_D) {
    job.prompt.embedding.push_back(static_cast<float>(sum / rows));
  }
  tell(job, [&](Sink& sink) { sink.on_prompt(std::move(job.prompt)); });
  Choice& first = *job.choices.front();
  if (prefixes_) prefixes_->remember(first.sequence, first.identities);
  for (int64_t index = 1; index < job.request.choices; ++index) {
    std::unique_ptr<Choice> choice = make_choice(job.request, index);
    choice->sequence = cache_.fork(first.sequence);
    choice->fed = first.fed;
    job.choices.push_back(std::move(choice));
  }
}

// The answers whose next token can be chosen now. A prompt that just ended has its logits for all
// choices.
std::vector<Scheduler::Sampled> Scheduler::find_due(std::vector<Piece>& pieces) const {
  std::vector<Sampled> due;
  int64_t rows = 0;
  for (Piece& piece : pieces) {
    if (piece.choice->pending() > 0) continue;
    const bool begins = piece.choice->generation.tokens().empty();
    for (const auto& choice : piece.job->choices) {
      if (choice.get() == piece.choice ||
          (begins && choice->pending() == 0 && choice->index > 0 && piece.choice->index == 0 &&
           choice->generation.tokens().empty())) {
        due.push_back({&piece, choice.get(), rows});
      }
    }
    rows += 1 + std::ssize(piece.draft.tokens);
  }
  return due;
}

// [rows, V]: for each piece those of its last token, then those of its draft's.
Tensor Scheduler::logits_of(const std::vector<Sampled>& due, const Tensor& hidden_ND) const {
  const int64_t D = hidden_ND.dim(1);
  const Piece* last = due.back().piece;
  const int64_t rows = due.back().row + 1 + std::ssize(last->draft.tokens);
  Tensor due_ND({rows, D}, DType::kF32, hidden_ND.device());
  for (const Sampled& sampled : due) {
    const int64_t drafted = std::ssize(sampled.piece->draft.tokens);
    const int64_t first = sampled.piece->last_vector() - drafted;
    std::memcpy(due_ND.mutable_data<float>() + sampled.row * D, hidden_ND.data<float>() + first * D,
                static_cast<size_t>((1 + drafted) * D) * sizeof(float));
  }
  return model_.logits(due_ND, forward_);
}

std::vector<Scheduler::Sampled> Scheduler::sample(std::vector<Piece>& pieces,
                                                  const Tensor& hidden_ND,
                                                  const ExpertRoutes& routes) {
  std::vector<Sampled> due = find_due(pieces);
  if (due.empty()) return due;
  const Tensor logits_NV = logits_of(due, hidden_ND);
  model_.device()->threads().parallel_for(std::ssize(due), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Sampled& sampled = due[static_cast<size_t>(i)];
      if (sampled.choice->generation.done()) continue;  // no token was asked for
      try {
        choose(sampled, logits_NV, routes);
      } catch (const Error& error) {
        sampled.error = error.what();
      }
    }
  });
  return due;
}

// The model's choices, as long as the draft says the same.
void Scheduler::choose(Sampled& sampled, const Tensor& logits_NV, const ExpertRoutes& routes) {
  const auto V = static_cast<size_t>(logits_NV.dim(1));
  Choice& choice = *sampled.choice;
  Piece& piece = *sampled.piece;
  while (true) {
    const int64_t row = piece.accepted;
    Step& step = sampled.steps.emplace_back(choice.generation.next(
        logits_NV.values<float>().subspan(static_cast<size_t>(sampled.row + row) * V, V),
        choice.tokens));
    step.experts = routes.of(piece.first_row + piece.length - 1 + row);
    if (!step.is_stop_token) choice.append(step.token);
    if (choice.generation.done() || !sampled.has_draft() || row == std::ssize(piece.draft.tokens) ||
        piece.draft.tokens[static_cast<size_t>(row)] != step.token) {
      return;
    }
    ++piece.accepted;
    ++choice.fed;
  }
}

void Scheduler::take(Sampled& sampled) {
  Job& job = *sampled.piece->job;
  if (job.choices.empty()) return;  // another choice's error ended the request
  Choice& choice = *sampled.choice;
  if (sampled.has_draft()) {
    cache_.truncate(choice.sequence, choice.fed);
    job.outcome.drafted += std::ssize(sampled.piece->draft.tokens);
    job.outcome.accepted += sampled.piece->accepted;
  }
  for (Step& step : sampled.steps) {
    if (job.cancelled) break;
    ++job.outcome.answer_tokens;
    ++stats_.answer_tokens;
    tell(job, [&](Sink& sink) { sink.on_step(choice.index, std::move(step)); });
  }
  if (!sampled.error.empty()) {
    end_job(job, FinishReason::kFailed, sampled.error);
  } else if (choice.generation.done()) {
    finish(job, choice);
  }
}

// What an answer leaves behind may be the beginning of the next prompt.
void Scheduler::close(Choice& choice) {
  if (speculator_ != nullptr) speculator_->forget(choice.text);
  if (choice.sequence < 0) return;
  // After a failed step the cache may hold another number of tokens.
  if (prefixes_ && choice.fed > 0 && cache_.length(choice.sequence) == choice.fed) {
    prefixes_->remember(choice.sequence,
                        std::span(choice.identities).first(static_cast<size_t>(choice.fed)));
  }
  cache_.release(choice.sequence);
  choice.sequence = -1;
}

void Scheduler::finish(Job& job, Choice& choice) {
  close(choice);
  const FinishReason reason = choice.generation.reason();
  ++stats_.finished[std::string(finish_reason_name(reason))];
  const int64_t index = choice.index;
  if (index == 0 && job.request.session) {
    choice.identities.resize(static_cast<size_t>(choice.fed));
    job.outcome.identities = std::move(choice.identities);
  }
  std::erase_if(job.choices, [&](const auto& other) { return other.get() == &choice; });
  tell(job, [&](Sink& sink) { sink.on_finish(index, reason); });
  if (job.choices.empty()) tell(job, [&](Sink& sink) { sink.on_end(job.outcome); });
}

void Scheduler::end_job(Job& job, FinishReason reason, const std::string& error) {
  std::vector<int64_t> open;
  for (const auto& choice : job.choices) {
    close(*choice);
    open.push_back(choice->index);
  }
  if (!job.prompt_done) {
    // The choices that the prompt's end would have made.
    open.clear();
    for (int64_t index = 0; index < job.request.choices; ++index) open.push_back(index);
  }
  job.choices.clear();
  job.outcome.error = error;
  for (const int64_t index : open) {
    ++stats_.finished[std::string(finish_reason_name(reason))];
    tell(job, [&](Sink& sink) { sink.on_finish(index, reason); });
  }
  tell(job, [&](Sink& sink) { sink.on_end(job.outcome); });
}

void Scheduler::sweep() {
  std::erase_if(running_, [](const auto& job) { return job->choices.empty(); });
}

}  // namespace corral::engine
