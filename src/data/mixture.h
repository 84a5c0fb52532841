#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/token_file.h"

namespace corral::data {

/// A corpus and how often an epoch reads it: 1 once, 2.5 twice and a random half of it once more.
struct MixtureSource {
  std::string name;
  std::shared_ptr<const TokenFile> tokens;
  double repeat = 1;
};

/// The repeats that give sources of these sizes these shares of the tokens, with the least repeated
/// source read once.
std::vector<double> repeats_for_weights(const std::vector<double>& weights,
                                        const std::vector<int64_t>& tokens);

/// An endless shuffled order of documents of several sources. Which document comes at (epoch,
/// index) is a pure function of the seed, so a run resumes from two integers and nothing is kept in
/// memory. Every epoch has an order of its own.
class Mixture {
 public:
  /// Throws UsageError when there is nothing to read: no source, or repeats that give no document.
  Mixture(std::vector<MixtureSource> sources, uint64_t seed);

  struct Item {
    size_t source;
    int64_t document;
  };
  /// 0 <= index < items().
  Item at(int64_t epoch, int64_t index) const;

  int64_t items() const { return items_; }
  const std::vector<MixtureSource>& sources() const { return sources_; }
  /// Tokens of an average epoch.
  double tokens_per_epoch() const;

 private:
  std::vector<MixtureSource> sources_;
  std::vector<int64_t> begins_;  // of each source among the items of an epoch
  int64_t items_ = 0;
  uint64_t seed_;
};

}  // namespace corral::data
