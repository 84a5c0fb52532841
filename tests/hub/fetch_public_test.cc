#include "hub/fetch_public.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>

#include <cstring>

#include "base/error.h"
#include "hub/public_address.h"
#include "hub/small_hub.h"

namespace corral::hub {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(PublicAddress, KnowsWhatIsNotOfTheInternet) {
  for (const char* address :
       {"8.8.8.8", "1.1.1.1", "93.184.216.34", "172.15.255.255", "172.32.0.0", "100.63.255.255",
        "100.128.0.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"}) {
    EXPECT_TRUE(is_public_address(address)) << address;
  }
  for (const char* address : {"0.0.0.0",
                              "0.1.2.3",
                              "10.0.0.1",
                              "10.255.255.255",
                              "100.64.0.1",
                              "100.127.255.255",
                              "127.0.0.1",
                              "127.255.255.255",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.0.0.8",
                              "192.0.2.1",
                              "192.88.99.1",
                              "192.168.0.1",
                              "198.18.0.1",
                              "198.19.255.255",
                              "198.51.100.7",
                              "203.0.113.9",
                              "224.0.0.1",
                              "239.255.255.255",
                              "240.0.0.1",
                              "255.255.255.255",
                              "::",
                              "::1",
                              "::ffff:8.8.8.8",
                              "::ffff:127.0.0.1",
                              "64:ff9b::7f00:1",
                              "fe80::1",
                              "fc00::1",
                              "fd12:3456::1",
                              "ff02::1",
                              "2001::1",
                              "2001:db8::1",
                              "2002:7f00:1::",
                              "3fff::1",
                              "4000::1",
                              "",
                              "localhost",
                              "8.8.8",
                              "8.8.8.8.8"}) {
    EXPECT_FALSE(is_public_address(address)) << address;
  }
}

// Lets 127.0.0.1 through, so that there is something to fetch from, and nothing else.
FetchOptions from_this_machine() {
  FetchOptions options;
  options.seconds = 5;
  options.allowed = [](const sockaddr& address) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return address.sa_family == AF_INET && v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
  };
  return options;
}

class FetchPublic : public ::testing::Test {
 protected:
  static corral::test::HubReply answer(const corral::test::HubRequest& request) {
    if (request.path == "/elsewhere") {
      return {.status = 302, .headers = {"Location: http://127.0.0.2:1/secret"}};
    }
    if (request.path == "/near") return {.status = 302, .headers = {"Location: /picture"}};
    if (request.path == "/file")
      return {.status = 302, .headers = {"Location: file:///etc/passwd"}};
    if (request.path == "/loop") return {.status = 302, .headers = {"Location: /loop"}};
    if (request.path == "/none") return {.status = 404};
    return {.body = std::string(1000, 'x')};
  }
  std::string url(const std::string& path) const { return server.url() + path; }
  corral::test::LoopbackServer server{answer};
};

TEST_F(FetchPublic, TakesWhatIsThere) {
  EXPECT_EQ(fetch_public(url("/picture"), from_this_machine()), std::string(1000, 'x'));
  EXPECT_EQ(fetch_public(url("/near"), from_this_machine()), std::string(1000, 'x'));
}

TEST_F(FetchPublic, JudgesEveryAddressItConnectsTo) {
  EXPECT_THAT([&] { fetch_public(url("/picture")); },
              ThrowsMessage<Error>(HasSubstr("not one of the public internet")));
  EXPECT_THAT([&] { fetch_public(url("/elsewhere"), from_this_machine()); },
              ThrowsMessage<Error>(HasSubstr("not one of the public internet")));
  EXPECT_THROW(fetch_public(url("/file"), from_this_machine()), Error);
  EXPECT_THROW(fetch_public(url("/loop"), from_this_machine()), Error);
  EXPECT_THROW(fetch_public("file:///etc/passwd", from_this_machine()), Error);
  EXPECT_THROW(fetch_public("http://user:word@127.0.0.1/", from_this_machine()), Error);
}

TEST_F(FetchPublic, HasLimits) {
  FetchOptions options = from_this_machine();
  options.max_bytes = 999;
  EXPECT_THAT([&] { fetch_public(url("/picture"), options); },
              ThrowsMessage<Error>(HasSubstr("larger than 999 bytes")));
  EXPECT_THAT([&] { fetch_public(url("/none"), from_this_machine()); },
              ThrowsMessage<Error>(HasSubstr("status 404")));
}

}  // namespace
}  // namespace corral::hub
