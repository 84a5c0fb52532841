#include "media/jpeg.h"

#include <turbojpeg.h>

#include <memory>
#include <string_view>

#include "base/error.h"

namespace corral::media {
namespace {

struct Destroy {
  void operator()(void* decoder) const { tjDestroy(decoder); }
};
using Decoder = std::unique_ptr<void, Destroy>;

/// Adobe's convention, which all writers follow: the values are stored inverted, 255 is no ink.
std::vector<uint8_t> rgb_of_cmyk(const std::vector<uint8_t>& inverted) {
  std::vector<uint8_t> rgb;
  rgb.reserve(inverted.size() / 4 * 3);
  for (size_t i = 0; i < inverted.size(); i += 4) {
    const int paper = inverted[i + 3];
    for (size_t c = 0; c < 3; ++c) {
      // v / 255 rounded, exact for the products of two bytes, as in Pillow's conversion.
      const int product = (255 - inverted[i + c]) * paper + 128;
      const int ink = (product + (product >> 8)) >> 8;
      rgb.push_back(static_cast<uint8_t>(paper > ink ? paper - ink : 0));
    }
  }
  return rgb;
}

/// A warning leaves a whole picture in most cases: bytes too many, an odd marker. Not here.
bool cut_short(std::string_view warning) {
  return warning.find("remature end") != std::string_view::npos;
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> file, const ImageHeader& header,
                  const std::string& name) {
  const bool cmyk = header.components == 4;
  const int64_t pixel_bytes = cmyk ? 4 : 3;
  Image image{header.width, header.height, {}};
  image.rgb.resize(static_cast<size_t>(header.width * header.height * pixel_bytes));
  const Decoder decoder(tjInitDecompress());
  if (!decoder) throw Error("no memory for a JPEG decoder");
  // Smooth chroma is the default; the inverse transform has to be asked for. A picture of a few
  // bytes may claim thousands of scans, each as costly as a picture: 500 are allowed.
  constexpr int kFlags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS;
  const int status =
      tjDecompress2(decoder.get(), reinterpret_cast<const unsigned char*>(file.data()), file.size(),
                    image.rgb.data(), static_cast<int>(header.width),
                    static_cast<int>(header.width * pixel_bytes), static_cast<int>(header.height),
                    cmyk ? TJPF_CMYK : TJPF_RGB, kFlags);
  if (status != 0) {
    const std::string message = tjGetErrorStr2(decoder.get());
    if (tjGetErrorCode(decoder.get()) == TJERR_FATAL || cut_short(message)) {
      throw CorruptFile(str(name, ": not a whole JPEG (", message, ")"));
    }
  }
  if (cmyk) image.rgb = rgb_of_cmyk(image.rgb);
  return image;
}

}  // namespace corral::media
