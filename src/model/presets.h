#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace corral::model {

/// A named shape of the family.
struct Preset {
  std::string name;
  std::string summary;
  Config config;
};

/// scout, maverick, behemoth and their miniatures.
std::vector<Preset> presets();

/// The preset of that name; throws UsageError listing what there is.
Preset find_preset(std::string_view name);

}  // namespace corral::model
