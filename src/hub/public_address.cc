#include "hub/public_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace corral::hub {
namespace {

struct Block4 {
  uint32_t address;
  int bits;
};

constexpr uint32_t ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

constexpr Block4 kNotPublic4[] = {
    {ip(0, 0, 0, 0), 8},       {ip(10, 0, 0, 0), 8},     {ip(100, 64, 0, 0), 10},
    {ip(127, 0, 0, 0), 8},     {ip(169, 254, 0, 0), 16}, {ip(172, 16, 0, 0), 12},
    {ip(192, 0, 0, 0), 24},    {ip(192, 0, 2, 0), 24},   {ip(192, 31, 196, 0), 24},
    {ip(192, 52, 193, 0), 24}, {ip(192, 88, 99, 0), 24}, {ip(192, 168, 0, 0), 16},
    {ip(192, 175, 48, 0), 24}, {ip(198, 18, 0, 0), 15},  {ip(198, 51, 100, 0), 24},
    {ip(203, 0, 113, 0), 24},  {ip(224, 0, 0, 0), 4},    {ip(240, 0, 0, 0), 4}};

struct Block6 {
  uint16_t first;
  uint16_t second;
  int bits;
};

// Of 2000::/3, all that is given out: the blocks for special purposes.
constexpr Block6 kNotPublic6[] = {{0x2001, 0x0000, 23},
                                  {0x2001, 0x0db8, 32},
                                  {0x2002, 0, 16},
                                  {0x3fff, 0, 20},
                                  {0x2620, 0x004f, 32}};

bool is_public4(uint32_t address) {
  for (const Block4& block : kNotPublic4) {
    if ((address ^ block.address) >> (32 - block.bits) == 0) return false;
  }
  return true;
}

bool is_public6(const std::array<uint8_t, 16>& bytes) {
  const auto head =
      static_cast<uint32_t>(bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]);
  if (head >> 29 != 1) return false;
  for (const Block6& block : kNotPublic6) {
    const uint32_t start = uint32_t{block.first} << 16 | block.second;
    if ((head ^ start) >> (32 - block.bits) == 0) return false;
  }
  return true;
}

}  // namespace

bool is_public_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return is_public4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return false;
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
  return is_public6(bytes);
}

bool is_public_address(std::string_view text) {
  const std::string copy(text);
  in_addr v4{};
  if (inet_pton(AF_INET, copy.c_str(), &v4) == 1) return is_public4(ntohl(v4.s_addr));
  std::array<uint8_t, 16> bytes{};
  return inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1 && is_public6(bytes);
}

}  // namespace corral::hub
