#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "engine/constraint/configurations.h"
#include "engine/constraint/constraint.h"

namespace corral::engine {

/// Finds the tokens that may come in a configuration. What holds for a set of nodes whatever their
/// rule returns to is found once, by a walk over the vocabulary's tree; only tokens that reach
/// behind the rule's end are looked at again in each context. Not thread-safe.
class MaskMaker {
 public:
  MaskMaker(Configurations& configurations, const TokenTrie& vocabulary)
      : configurations_(configurations), vocabulary_(vocabulary) {}

  /// The ordinary tokens that may come, and the ending ones if the text may end.
  MaskPtr mask(int32_t configuration);
  /// The memory of all that is remembered, about.
  size_t bytes() const { return bytes_; }

 private:
  struct Local {
    explicit Local(size_t tokens) : inside(tokens) {}
    TokenMask inside;              // tokens that the rule goes on with or ends with
    std::vector<int32_t> crossed;  // nodes of the tree where the rule ends and a token goes on
  };
  const Local& local(std::span<const Configurations::Thread> threads);
  template <class OnToken, class OnEnd>
  void walk(int32_t begin, int32_t end, int32_t configuration, const OnToken& on_token,
            const OnEnd& on_end);

  struct Level {
    int32_t end;
    int32_t configuration;
  };
  Configurations& configurations_;
  const TokenTrie& vocabulary_;
  std::unordered_map<int32_t, Local> locals_;   // by configuration of the nodes alone
  std::unordered_map<int32_t, MaskPtr> masks_;  // by configuration
  std::vector<Level> levels_;
  size_t bytes_ = 0;
};

}  // namespace corral::engine
