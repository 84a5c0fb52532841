#include "base/json.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/error.h"

namespace corral {
namespace {

constexpr size_t kMaxShownBytes = 60;

std::string place(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t newline = before.rfind('\n');
  const size_t column = newline == before.npos ? before.size() + 1 : before.size() - newline;
  return str("line ", line, ", column ", column);
}

std::string shown(const std::string& text) {
  // The default error handler of dump() throws on a cut UTF-8 sequence.
  return Json(text.substr(0, kMaxShownBytes)).dump(-1, ' ', true, Json::error_handler_t::replace);
}

/// Builds the value while it watches the depth and the keys. The parser that calls it keeps its own
/// stack, so deep input costs no call stack.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(const std::string& what, int max_depth) : what_(what), max_depth_(max_depth) {}

  Json take() { return std::move(root_); }
  size_t error_byte() const { return error_byte_; }
  const std::string& error_message() const { return error_message_; }

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(int64_t value) override { return scalar(value); }
  bool number_unsigned(uint64_t value) override { return scalar(value); }
  bool number_float(double value, const std::string&) override { return scalar(value); }
  bool string(std::string& value) override { return scalar(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // JSON text has none
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    const auto [entry, inserted] = open_.back()->get_ref<Json::object_t&>().try_emplace(name);
    if (!inserted) throw CorruptFile(str(what_, ": the key ", shown(name), " occurs twice"));
    member_ = &entry->second;
    return true;
  }

  bool parse_error(size_t byte, const std::string& token,
                   const nlohmann::detail::exception& error) override {
    error_byte_ = byte;
    error_message_ = error.id == kNumberOutOfRange
                         ? str("number out of range: ", shown(token))
                         : str("not JSON", token.empty() ? "" : ", near ",
                               token.empty() ? "" : shown(token.substr(tail(token))));
    return false;
  }

 private:
  static constexpr int kNumberOutOfRange = 406;

  static size_t tail(const std::string& token) {
    return token.size() > kMaxShownBytes ? token.size() - kMaxShownBytes : 0;
  }

  Json* add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_object()) {
      *member_ = std::move(value);
      return member_;
    }
    return &open_.back()->get_ref<Json::array_t&>().emplace_back(std::move(value));
  }

  bool scalar(Json value) {
    add(std::move(value));
    return true;
  }

  bool open(Json value) {
    if (open_.size() >= static_cast<size_t>(max_depth_)) {
      throw CorruptFile(str(what_, ": JSON is nested deeper than ", max_depth_, " levels"));
    }
    open_.push_back(add(std::move(value)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& what_;
  int max_depth_;
  Json root_;
  std::vector<Json*> open_;  // the arrays and objects around the current place, outermost first
  Json* member_ = nullptr;   // where the value after a key goes
  size_t error_byte_ = 0;
  std::string error_message_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& what, int max_depth) {
  Builder builder(what, max_depth);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    const size_t byte = std::max<size_t>(builder.error_byte(), 1) - 1;
    throw CorruptFile(str(what, ": ", builder.error_message(), " (", place(text, byte), ")"));
  }
  return builder.take();
}

}  // namespace corral
