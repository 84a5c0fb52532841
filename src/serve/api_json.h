#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace corral::serve {

using OrderedJson = nlohmann::ordered_json;

/// What a request's body may hold at most: deeper or wider JSON is refused before it is used.
inline constexpr int kMaxBodyDepth = 32;
inline constexpr size_t kMaxMembers = 1000;

/// The body as a JSON object whose members keep their order (as tool descriptions need). Throws
/// ApiError 400.
OrderedJson parse_body(std::string_view body);
/// One line; bytes that are not UTF-8 become U+FFFD.
std::string dump(const OrderedJson& json);

/// A number of a request and its range, both ends included.
struct NumberField {
  const char* name;
  double low;
  double high;
  bool integer;
};

/// The members of a request. Null counts as absent; every complaint names the member.
class Fields {
 public:
  /// The object must outlive this.
  explicit Fields(const OrderedJson& object, std::string prefix = "")
      : object_(object), prefix_(std::move(prefix)) {}

  const OrderedJson* find(const char* name) const;
  std::optional<double> number(const NumberField& field) const;
  std::optional<int64_t> integer(const NumberField& field) const;
  std::optional<bool> boolean(const char* name) const;
  std::optional<std::string> text(const char* name) const;
  /// Throws ApiError 400 when it is missing, too.
  std::string need_text(const char* name) const;
  /// Throws ApiError 400 (as OpenAI does) about a member that is none of these.
  void only(std::span<const std::string_view> known) const;
  /// Throws ApiError 400 about a member.
  [[noreturn]] void fail(const char* name, const std::string& why) const;

 private:
  const OrderedJson& object_;
  std::string prefix_;
};

}  // namespace corral::serve
