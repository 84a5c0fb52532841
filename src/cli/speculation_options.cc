#include "cli/speculation_options.h"

#include "base/error.h"
#include "cli/common.h"
#include "engine/speculation/lookup_draft.h"
#include "engine/speculation/model_draft.h"

namespace corral::cli {

void SpeculationOptions::add_to(CLI::App& command) {
  command.add_flag_function(
      "--lookup,!--no-lookup", [this](int64_t given) { lookup_ = given > 0; },
      str("guess that the text goes on as where its last tokens stood before; the "
          "answer is the same, and faster where text repeats",
          lookup_by_default_ ? " (default, without --draft)" : ""));
  command.add_option("--draft", draft_,
                     "guess with a smaller model of the same vocabulary; the answer is the same");
  command.add_option("--draft-tokens", draft_tokens_, "most tokens guessed at once")
      ->check(CLI::Range(int64_t{1}, engine::DraftPolicy::kMost))
      ->capture_default_str();
}

Speculation SpeculationOptions::make(const model::LoadedModel& target,
                                     const model::ForwardOptions& forward, int64_t kv_bytes) const {
  if (looks_up() && !draft_.empty()) {
    throw UsageError("--lookup and --draft are two ways to guess: choose one");
  }
  Speculation made;
  std::unique_ptr<engine::DraftSource> source;
  if (looks_up()) source = std::make_unique<engine::LookupDraft>();
  if (!draft_.empty()) {
    made.draft_model = std::make_unique<const model::LoadedModel>(
        model::load_model(resolve_model(draft_), target.model.device()));
    const engine::ModelDraft::Options options{.forward = forward, .kv_bytes = kv_bytes};
    source =
        std::make_unique<engine::ModelDraft>(made.draft_model->model, made.draft_model->tokenizer,
                                             target.model, target.tokenizer.get(), options);
  }
  if (source != nullptr) {
    made.speculator = std::make_unique<engine::Speculator>(std::move(source), draft_tokens_);
  }
  return made;
}

}  // namespace corral::cli
