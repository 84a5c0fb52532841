#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "io/safetensors_writer.h"
#include "media/tiles.h"

namespace corral::cli {
namespace {

struct TilesCommandOptions {
  std::string image;
  std::string out;
  media::TileOptions tiles;
  bool upright = false;
  MachineOptions machine;
};

void write_tiles(const TilesCommandOptions& options, Io& io) {
  const auto file = MappedFile::open(options.image);
  const auto orientation =
      options.upright ? media::Orientation::kHonour : media::Orientation::kIgnore;
  const media::Image image = media::decode_image(file->bytes(), options.image, {}, orientation);
  const media::TiledImage tiled = media::tile_image(image, options.tiles, options.machine.device());
  io::write_safetensors(options.out, {{"tiles", tiled.tiles}});
  const nlohmann::ordered_json summary = {{"canvas", {tiled.canvas_height, tiled.canvas_width}},
                                          {"resized", {tiled.resized_height, tiled.resized_width}},
                                          {"grid", {tiled.rows, tiled.columns}},
                                          {"tiles", tiled.tiles.dim(0)}};
  io.out << summary.dump() << std::endl;
}

}  // namespace

void add_debug_tiles(CLI::App& debug, Io& io) {
  auto options = std::make_shared<TilesCommandOptions>();
  CLI::App* command = debug.add_subcommand("tiles", "a picture to the tiles that the model sees");
  command->add_option("image", options->image, "JPEG, PNG, WebP, GIF or BMP")->required();
  command->add_option("--out", options->out, "safetensors file: tiles f32 [n, 3, size, size]")
      ->required();
  command->add_option("--size", options->tiles.size, "side of a tile")->capture_default_str();
  command->add_option("--max-tiles", options->tiles.max_tiles, "tiles of the largest canvas")
      ->capture_default_str();
  command->add_flag("--upright", options->upright,
                    "turn the picture as its EXIF says; the reference, and so this command, does "
                    "not; run and chat do");
  options->machine.add_to(*command);
  command->footer(
      "Prints {\"canvas\": [height, width], \"resized\": [height, width], \"grid\": [rows, "
      "columns],\n"
      "\"tiles\": n}; the last of several tiles is the whole picture.\n"
      "Example:\n"
      "  corral debug tiles photo.jpg --out tiles.safetensors");
  command->callback([options, &io] { write_tiles(*options, io); });
}

}  // namespace corral::cli
