// What is guessed of the answers' next tokens, to be checked in the same step.
#include <algorithm>

#include "base/str.h"
#include "engine/scheduler.h"

namespace corral::engine {

int64_t Scheduler::count_rows(const std::vector<Piece>& pieces) {
  int64_t rows = 0;
  for (const Piece& piece : pieces) rows += piece.rows();
  return rows;
}

// Guesses how the answers go on, if the step has nothing else: rows of a prompt keep the processor
// busy already, so that more of them are not free. A draft ends before the answer does, and where
// the cache could not take it back. True when the speculator is to learn of the outcome.
bool Scheduler::guess(std::vector<Piece>& pieces) {
  if (speculator_ == nullptr) return false;
  std::vector<DraftText> texts;
  for (const Piece& piece : pieces) {
    const Choice& choice = *piece.choice;
    if (choice.pending() != 1 || choice.generation.tokens().empty()) return false;
    const int64_t room = std::min(choice.generation.room(), cache_.revocable(choice.sequence)) - 1;
    texts.push_back({.key = choice.text,
                     .tokens = choice.tokens,
                     .expected = piece.job->expected,
                     .room = room,
                     .sampler = &choice.generation.sampler()});
  }
  std::vector<Draft> drafts;
  try {
    drafts = speculator_->draft(texts, options_.step_tokens - std::ssize(pieces));
  } catch (const std::exception& error) {
    give_up_guessing(error.what());  // what fails once would fail again, and no answer needs it
    return false;
  }
  for (size_t i = 0; i < pieces.size(); ++i) pieces[i].draft = std::move(drafts[i]);
  return true;
}

void Scheduler::give_up_guessing(const char* reason) {
  if (options_.trouble) options_.trouble(str("tokens are no longer guessed: ", reason));
  stats_.drafted = speculator_->stats().drafted;
  stats_.accepted = speculator_->stats().accepted;
  speculator_.reset();
}

// True when there were any.
bool Scheduler::drop_guesses(std::vector<Piece>& pieces) {
  bool any = false;
  for (Piece& piece : pieces) {
    any = any || !piece.draft.tokens.empty();
    piece.draft.tokens.clear();
  }
  return any;
}

void Scheduler::learn_from(const std::vector<Piece>& pieces) {
  std::vector<DraftPolicy::Result> results;
  for (const Piece& piece : pieces) {
    results.push_back({.confidence = piece.draft.confidence,
                       .drafted = std::ssize(piece.draft.tokens),
                       .accepted = piece.accepted});
  }
  speculator_->record(results);
}

}  // namespace corral::engine
