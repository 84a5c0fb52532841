#include "data/mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace corral::data {
namespace {

constexpr double kMaxItems = 0x1p52;

uint64_t key_of(uint64_t seed, int64_t epoch, uint64_t what) {
  return Philox(seed).bits(static_cast<uint64_t>(epoch), what);
}

}  // namespace

std::vector<double> repeats_for_weights(const std::vector<double>& weights,
                                        const std::vector<int64_t>& tokens) {
  std::vector<double> repeats;
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < weights.size(); ++i) {
    repeats.push_back(tokens[i] > 0 ? weights[i] / static_cast<double>(tokens[i]) : 0);
    if (repeats[i] > 0) least = std::min(least, repeats[i]);
  }
  for (double& repeat : repeats) repeat = repeat > 0 ? repeat / least : 0;
  return repeats;
}

Mixture::Mixture(std::vector<MixtureSource> sources, uint64_t seed)
    : sources_(std::move(sources)), seed_(seed) {
  double total = 0;
  for (const MixtureSource& source : sources_) {
    const double wanted = source.repeat * static_cast<double>(source.tokens->documents());
    if (!(source.repeat >= 0) || !((total += wanted) < kMaxItems)) {
      throw UsageError(str("mixture: repeat of ", source.name, " is ", source.repeat));
    }
    begins_.push_back(items_);
    items_ += std::llround(wanted);
  }
  if (items_ == 0) throw UsageError("mixture: the training data has no document");
}

Mixture::Item Mixture::at(int64_t epoch, int64_t index) const {
  const Permutation order(static_cast<uint64_t>(items_), key_of(seed_, epoch, 0));
  const auto item = static_cast<int64_t>(order(static_cast<uint64_t>(index)));
  const auto next = std::upper_bound(begins_.begin(), begins_.end(), item);
  const auto source = static_cast<size_t>(next - begins_.begin()) - 1;
  // Reading a source in an order of its own makes a fractional repeat a different part each epoch.
  const auto documents = static_cast<uint64_t>(sources_[source].tokens->documents());
  const Permutation within(documents, key_of(seed_, epoch, source + 1));
  const auto copy = static_cast<uint64_t>(item - begins_[source]) % documents;
  return {source, static_cast<int64_t>(within(copy))};
}

double Mixture::tokens_per_epoch() const {
  double sum = 0;
  for (const MixtureSource& source : sources_) {
    sum += source.repeat * static_cast<double>(source.tokens->tokens());
  }
  return sum;
}

}  // namespace corral::data
