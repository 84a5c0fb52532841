#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "media/image.h"

namespace corral::media {

/// The orientation (1 to 8) that an EXIF block, in its TIFF form, notes; 1, upright, when it notes
/// none or makes no sense: a broken note is no reason to refuse a picture.
/// Source: EXIF 2.32, section 4.6.4, tag 274.
int exif_orientation(std::span<const std::byte> tiff);

/// The picture as it was meant to be seen: for 1 itself; 2 mirrored left to right, 3 turned by 180
/// degrees, 4 mirrored top to bottom, 5 transposed, 6 turned clockwise, 7 transposed along the
/// other diagonal, 8 turned counterclockwise. Throws Error for other numbers.
Image oriented(Image image, int orientation);

}  // namespace corral::media
