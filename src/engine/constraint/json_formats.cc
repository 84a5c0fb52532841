#include "engine/constraint/json_formats.h"

#include <map>

#include "engine/constraint/regex.h"

namespace corral::engine {
namespace {

// RFC 3339, with the lengths of months and leap years; the year 0000 is taken away below.
const std::string kDate =
    R"((\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|)"
    R"(02-(0[1-9]|1\d|2[0-8]))|)"
    R"((\d\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29))";
const std::string kTime =
    R"(([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+\-]([01]\d|2[0-3]):[0-5]\d))";
const std::string kByte = R"((\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5]))";
const std::string kLabel = R"([a-zA-Z0-9]([a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?)";

// RFC 4291: eight groups, or fewer around one `::`.
std::string ipv6() {
  const std::string group = "[0-9a-fA-F]{1,4}";
  std::string pattern = "(" + group + ":){7}" + group;
  for (int before = 0; before <= 7; ++before) {
    pattern += "|";
    if (before > 0) pattern += group + "(:" + group + "){" + std::to_string(before - 1) + "}";
    pattern += "::";
    const int behind = 7 - before;
    if (behind > 0) {
      pattern += "(" + group + "(:" + group + "){0," + std::to_string(behind - 1) + "})?";
    }
  }
  return pattern;
}

const std::map<std::string, std::string, std::less<>>& patterns() {
  static const std::map<std::string, std::string, std::less<>> map = {
      {"date", kDate},
      {"time", kTime},
      {"date-time", kDate + "T" + kTime},
      {"duration", R"(P(\d{1,9}W|(\d{1,9}Y(\d{1,9}M(\d{1,9}D)?)?|\d{1,9}M(\d{1,9}D)?|\d{1,9}D))"
                   R"((T(\d{1,9}H(\d{1,9}M(\d{1,9}S)?)?|\d{1,9}M(\d{1,9}S)?|\d{1,9}S))?|)"
                   R"(T(\d{1,9}H(\d{1,9}M(\d{1,9}S)?)?|\d{1,9}M(\d{1,9}S)?|\d{1,9}S)))"},
      {"uuid", "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
      {"ipv4", kByte + R"((\.)" + kByte + "){3}"},
      {"ipv6", ipv6()},
      {"hostname", kLabel + R"((\.)" + kLabel + "){0,2}"},
      {"email", R"([a-zA-Z0-9_+\-]{1,20}(\.[a-zA-Z0-9_+\-]{1,20}){0,2}@)" + kLabel + R"((\.)" +
                    kLabel + "){1,2}"},
      {"uri", R"([a-z][a-z0-9+.\-]{0,20}:(\/\/[a-zA-Z0-9\-._~]+(:\d{1,5})?)?)"
              R"((\/[a-zA-Z0-9\-._~!$&'()*+,;=:@]*)*(\?[a-zA-Z0-9\-._~!$&'()*+,;=:@\/?]*)?)"
              R"((#[a-zA-Z0-9\-._~!$&'()*+,;=:@\/?]*)?)"}};
  return map;
}

}  // namespace

std::optional<CharDfa> format_texts(std::string_view format) {
  const auto found = patterns().find(format);
  if (found == patterns().end()) return std::nullopt;
  CharDfa texts = regex_texts(found->second, RegexScope::kWhole);
  if (format.starts_with("date")) return texts & ~regex_texts("0000[^]*", RegexScope::kWhole);
  return texts;
}

std::string known_formats() {
  std::string names;
  for (const auto& [name, pattern] : patterns()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

}  // namespace corral::engine
