#include "engine/constraint/constraint.h"

#include <utility>

#include "base/error.h"
#include "engine/constraint/configurations.h"
#include "engine/constraint/mask_maker.h"

namespace corral::engine {

struct Constraint::Knowledge {
  Knowledge(const Automaton& automaton, const TokenTrie& vocabulary)
      : configurations(automaton), masks(configurations, vocabulary) {}
  Configurations configurations;
  MaskMaker masks;
};

Constraint::Constraint(const Grammar& grammar, std::shared_ptr<const TokenTrie> vocabulary,
                       size_t most_bytes)
    : automaton_(grammar),
      vocabulary_(std::move(vocabulary)),
      most_bytes_(most_bytes),
      knowledge_(std::make_shared<Knowledge>(automaton_, *vocabulary_)) {}

Constraint::~Constraint() = default;

Matcher::Matcher(std::shared_ptr<Constraint> constraint) : constraint_(std::move(constraint)) {
  const std::lock_guard lock(constraint_->mutex_);
  knowledge_ = constraint_->knowledge_;
  configuration_ = knowledge_->configurations.start();
  look();
}

// With the lock held.
void Matcher::look() {
  can_end_ = knowledge_->configurations.can_end(configuration_);
  can_go_on_ = knowledge_->configurations.can_go_on(configuration_);
}

// With the lock held. Who still stands in what was forgotten moves over.
void Matcher::refresh() {
  Constraint& shared = *constraint_;
  const Constraint::Knowledge& known = *shared.knowledge_;
  if (known.configurations.bytes() + known.masks.bytes() > shared.most_bytes_) {
    shared.knowledge_ =
        std::make_shared<Constraint::Knowledge>(shared.automaton_, *shared.vocabulary_);
  }
  if (knowledge_ == shared.knowledge_) return;
  configuration_ =
      shared.knowledge_->configurations.import(knowledge_->configurations, configuration_);
  knowledge_ = shared.knowledge_;
}

MaskPtr Matcher::mask() {
  const std::lock_guard lock(constraint_->mutex_);
  refresh();
  return knowledge_->masks.mask(configuration_);
}

void Matcher::accept(int32_t token) {
  const std::lock_guard lock(constraint_->mutex_);
  refresh();
  const text::Tokenizer& tokenizer = constraint_->vocabulary_->tokenizer();
  int32_t configuration = configuration_;
  if (tokenizer.is_special(token)) configuration = Configurations::kDead;
  for (const char byte : tokenizer.token_bytes(token)) {
    if (configuration == Configurations::kDead) break;
    configuration = knowledge_->configurations.step(configuration, static_cast<uint8_t>(byte));
  }
  if (configuration == Configurations::kDead) {
    throw Error(str("token ", token, " does not follow the grammar"));
  }
  configuration_ = configuration;
  look();
}

bool follows(const Automaton& automaton, std::string_view text) {
  Configurations configurations(automaton);
  int32_t configuration = configurations.start();
  for (const char byte : text) {
    configuration = configurations.step(configuration, static_cast<uint8_t>(byte));
    if (configuration == Configurations::kDead) return false;
  }
  return configurations.can_end(configuration);
}

}  // namespace corral::engine
