#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "engine/constraint/automaton.h"
#include "engine/constraint/grammar.h"
#include "engine/constraint/token_mask.h"
#include "engine/constraint/token_trie.h"

namespace corral::engine {

/// A grammar for the tokens of one vocabulary, with what was found out about it so far: which
/// tokens may come in which state. Shared by all answers that follow the grammar. Thread-safe.
///
/// The masks are exact: a token is allowed if and only if some text of the grammar begins with the
/// text so far and the token's bytes. As every byte is a token, an answer never gets stuck.
class Constraint {
 public:
  /// most_bytes: of what may be remembered, about; beyond it all is forgotten and found again as it
  /// is needed. Throws UsageError as Automaton does.
  Constraint(const Grammar& grammar, std::shared_ptr<const TokenTrie> vocabulary,
             size_t most_bytes = size_t{96} << 20);
  ~Constraint();
  Constraint(const Constraint&) = delete;
  Constraint& operator=(const Constraint&) = delete;

  const Automaton& automaton() const { return automaton_; }

 private:
  friend class Matcher;
  struct Knowledge;

  Automaton automaton_;
  std::shared_ptr<const TokenTrie> vocabulary_;
  size_t most_bytes_;
  std::mutex mutex_;
  std::shared_ptr<Knowledge> knowledge_;
};

/// One answer on its way through a constraint. Not thread-safe.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<Constraint> constraint);

  /// The tokens that may come next; those that end an answer when it may end here. Never empty
  /// unless must_end() and the vocabulary has no such token. Throws Error when the text so far can
  /// be read in too many ways.
  MaskPtr mask();
  /// Goes on by one ordinary token. Throws Error when mask() does not have it.
  void accept(int32_t token);
  /// The text so far is complete.
  bool can_end() const { return can_end_; }
  /// And nothing can follow it.
  bool must_end() const { return can_end_ && !can_go_on_; }

 private:
  void refresh();
  void look();

  std::shared_ptr<Constraint> constraint_;
  std::shared_ptr<Constraint::Knowledge> knowledge_;
  int32_t configuration_ = 0;
  bool can_end_ = false;
  bool can_go_on_ = true;
};

/// Whether the grammar has exactly this text: what answers would be checked against by hand.
bool follows(const Automaton& automaton, std::string_view text);

}  // namespace corral::engine
