#pragma once

#include <cstdint>
#include <optional>

#include "model/config.h"

namespace corral::model {

/// Llama 4's image tower, in the words of `vision_config` in Hugging Face's config.json, with what
/// the text model and the vocabulary have to know of it. Values absent from a file take the
/// defaults of transformers' Llama4VisionConfig.
struct VisionConfig {
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 34;
  int64_t num_attention_heads = 16;
  int64_t intermediate_size = 5632;  // of the MLP, and hidden_size times shuffle squared
  int64_t num_channels = 3;
  int64_t image_size = 448;  // side of a tile
  int64_t patch_size = 14;
  int64_t projector_input_dim = 4096;   // of the adapter, between its two matrices
  int64_t projector_output_dim = 4096;  // of the adapter, out
  int64_t vision_output_dim = 7680;     // what the projector reads: projector_output_dim
  double norm_eps = 1e-5;
  double rope_theta = 10000;
  double pixel_shuffle_ratio = 0.5;

  int64_t text_hidden_size = 0;  // what the projector writes
  int64_t image_token = 200092;  // <|patch|>: each is replaced by a vector

  bool operator==(const VisionConfig&) const = default;

  int64_t head_dim() const { return hidden_size / num_attention_heads; }
  /// Patches along a side of a tile, and in all.
  int64_t grid() const { return image_size / patch_size; }
  int64_t patches() const { return grid() * grid(); }
  /// Patches along a side that the pixel shuffle joins: 2 for a ratio of 0.5.
  int64_t shuffle() const;
  /// Vectors that the text model sees for a tile.
  int64_t vectors_per_tile() const { return patches() / (shuffle() * shuffle()); }

  /// Throws UsageError naming the key, its value and what it must be.
  void check() const;
};

/// The tower that a config describes; nothing when it is of a text model. `name` is for messages.
/// Throws CorruptFile.
std::optional<VisionConfig> vision_config(const Config& config, const std::string& name);

/// Puts the tower into the config: config_json writes it and vision_config reads it back.
void set_vision_config(Config& config, const VisionConfig& vision);

}  // namespace corral::model
