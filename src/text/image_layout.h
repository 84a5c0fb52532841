#pragma once

#include <cstdint>
#include <vector>

#include "text/chat.h"

namespace corral::text {

/// The tokens of one image: <|image_start|>, the tiles row by row (each `patches_per_tile` times
/// <|patch|>; <|tile_x_separator|> between the tiles of a row, <|tile_y_separator|> after each
/// row), then <|image|>, the tile of the whole image, <|image_end|>. An image of one tile has only
/// that last part. Throws UsageError when the vocabulary lacks these tokens, for grids without
/// tiles and for more than 2^20 patches.
std::vector<TokenId> image_tokens(const Tokenizer& tokenizer, ImageGrid grid,
                                  int64_t patches_per_tile);

/// The grid of an image of which only the number of tiles is known, the whole one included: the
/// most nearly square one, with at least as many columns as rows. Throws UsageError for tiles < 1
/// or 2.
ImageGrid guess_grid(int64_t tiles);

}  // namespace corral::text
