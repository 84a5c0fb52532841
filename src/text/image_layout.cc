#include "text/image_layout.h"

#include "base/error.h"

namespace corral::text {

std::vector<TokenId> image_tokens(const Tokenizer& tokenizer, ImageGrid grid,
                                  int64_t patches_per_tile) {
  constexpr int64_t kMost = int64_t{1} << 20;
  if (grid.rows < 1 || grid.columns < 1 || patches_per_tile < 1 || grid.rows > kMost ||
      grid.columns > kMost || patches_per_tile > kMost ||
      grid.rows * grid.columns > kMost / patches_per_tile) {
    throw UsageError(str("chat: an image of ", grid.rows, " x ", grid.columns, " tiles of ",
                         patches_per_tile, " patches, needs 1 to ", kMost, " patches"));
  }
  const auto id = [&tokenizer](std::string_view name) {
    const auto found = tokenizer.special_id(name);
    if (!found) throw UsageError(str("chat: the vocabulary has no ", name, ", so no images"));
    return *found;
  };
  const TokenId patch = id(special::kPatch);
  std::vector<TokenId> ids = {id(special::kImageStart)};
  const auto add_tile = [&] {
    ids.insert(ids.end(), static_cast<size_t>(patches_per_tile), patch);
  };
  if (grid.rows * grid.columns > 1) {
    for (int64_t row = 0; row < grid.rows; ++row) {
      for (int64_t column = 0; column < grid.columns; ++column) {
        if (column > 0) ids.push_back(id(special::kTileXSeparator));
        add_tile();
      }
      ids.push_back(id(special::kTileYSeparator));
    }
  }
  ids.push_back(id(special::kImage));
  add_tile();
  ids.push_back(id(special::kImageEnd));
  return ids;
}

ImageGrid guess_grid(int64_t tiles) {
  if (tiles == 1) return {1, 1};
  if (tiles < 3) {
    throw UsageError(str("chat: an image of ", tiles,
                         " tiles, needs 1 or at least 3 (two and the whole image)"));
  }
  const int64_t cut = tiles - 1;
  ImageGrid grid{1, cut};
  for (int64_t rows = 2; rows * rows <= cut; ++rows) {
    if (cut % rows == 0) grid = {rows, cut / rows};
  }
  return grid;
}

}  // namespace corral::text
