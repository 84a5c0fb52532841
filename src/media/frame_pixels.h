#pragma once

#include "media/ffmpeg.h"
#include "media/image.h"

namespace corral::media {

/// Red, green and blue of a decoded still in any format whose components are stored as they are:
/// RGB in any order, grey, palette, single bits; 8 bits are kept, of more the upper eight, fewer
/// are stretched to 0..255. With alpha_shows the picture goes on white, else alpha is dropped.
/// Throws NotSupported, beginning with `name`, for another format.
Image pixels_of_frame(const AVFrame& frame, bool alpha_shows, const std::string& name);

/// The same for the 4:2:0 frames of a lossy WebP, with alpha or without, exactly as libwebp: chroma
/// is interpolated with weights 9, 3, 3, 1 and the colours are BT.601 of limited range in 14-bit
/// fixed point.
/// Source: libwebp, dsp/upsampling.c and dsp/yuv.h.
Image pixels_of_webp_frame(const AVFrame& frame);

/// Red, green, blue and alpha of a byte each, row after row, on white.
Image pixels_of_rgba(const uint8_t* rgba, int64_t width, int64_t height);

}  // namespace corral::media
