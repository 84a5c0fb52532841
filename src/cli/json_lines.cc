#include "cli/json_lines.h"

#include <string>

#include "base/error.h"
#include "base/json.h"

namespace corral::cli {
namespace {

using OrderedJson = nlohmann::ordered_json;

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t\r") == line.npos; }

}  // namespace

void answer_json_lines(Io& io, const std::function<OrderedJson(const OrderedJson&)>& answer) {
  std::string line;
  for (int64_t number = 1; std::getline(io.in, line); ++number) {
    if (is_blank(line)) continue;
    const std::string what = str("standard input, line ", number);
    if (!parse_json(line, what).is_object()) throw CorruptFile(str(what, ": no JSON object"));
    OrderedJson reply;
    try {
      // Parsed again because the order of the members counts (arguments of tool calls).
      reply = answer(OrderedJson::parse(line));
    } catch (const Error& error) {
      throw CorruptFile(str(what, ": ", error.what()));
    } catch (const nlohmann::json::exception& error) {
      throw CorruptFile(str(what, ": a member has the wrong type: ", error.what()));
    }
    io.out << reply.dump() << '\n';
  }
  io.out.flush();
}

}  // namespace corral::cli
