#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/vision/vision_config.h"

namespace corral::model {

/// A named shape of the family.
struct Preset {
  std::string name;
  std::string summary;
  Config config;                       // of the text model
  std::optional<VisionConfig> vision;  // of the image tower, where the original has one
};

/// scout, maverick, behemoth and their miniatures.
std::vector<Preset> presets();

/// The preset of that name; throws UsageError listing what there is.
Preset find_preset(std::string_view name);

}  // namespace corral::model
