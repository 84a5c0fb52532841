#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"

namespace corral::model {

// Larger values than any planned model by far, small enough that no product of two overflows.
inline constexpr int64_t kMaxDimension = int64_t{1} << 24;
inline constexpr int64_t kMaxLayers = 4096;

/// Reads values of one JSON object; every complaint names file and key. Object and name are
/// borrowed.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& object, const std::string& name)
      : object_(object), name_(name) {}

  bool has(const char* key) const { return object_.contains(key) && !object_.at(key).is_null(); }

  void read(const char* key, int64_t& value) const {
    if (has(key)) value = integer(object_.at(key), key);
  }
  void read(const char* key, double& value) const {
    if (!has(key)) return;
    const nlohmann::json& json = object_.at(key);
    if (!json.is_number() || !std::isfinite(json.get<double>())) fail(key, json, "a number");
    value = json.get<double>();
  }
  // Old configs store an integer where newer ones have a truth value.
  void read(const char* key, bool& value) const {
    if (!has(key)) return;
    const nlohmann::json& json = object_.at(key);
    if (json.is_boolean()) {
      value = json.get<bool>();
    } else {
      value = integer(json, key) != 0;
    }
  }
  void read(const char* key, std::vector<int64_t>& values) const {
    if (!has(key)) return;
    const nlohmann::json& json = object_.at(key);
    if (!json.is_array() || json.size() > kMaxLayers) fail(key, json, "a list of layers");
    values.clear();
    for (const nlohmann::json& item : json) values.push_back(integer(item, key));
  }
  void read_one_or_more(const char* key, std::vector<int64_t>& values) const {
    if (has(key) && object_.at(key).is_array()) {
      read(key, values);
    } else if (has(key)) {
      values = {integer(object_.at(key), key)};
    }
  }
  const nlohmann::json& object() const { return object_; }
  const std::string& name() const { return name_; }

 private:
  int64_t integer(const nlohmann::json& json, const char* key) const {
    if (json.is_number_integer() &&
        !(json.is_number_unsigned() && json.get<uint64_t>() >> 62 != 0)) {
      return json.get<int64_t>();
    }
    if (json.is_number_float()) {
      const double value = json.get<double>();
      if (value == std::floor(value) && std::abs(value) < 0x1p53)
        return static_cast<int64_t>(value);
    }
    fail(key, json, "a whole number");
  }
  [[noreturn]] void fail(const char* key, const nlohmann::json& json, const char* expected) const {
    std::string found =
        json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, 60);
    throw CorruptFile(str(name_, ": ", key, " is ", found, ", needs ", expected));
  }

  const nlohmann::json& object_;
  const std::string& name_;
};

/// Throws UsageError naming the key, its value and what it must be, unless good.
inline void need(bool good, const char* key, auto value, const char* expected) {
  if (!good) throw UsageError(str("config: ", key, " is ", value, ", needs ", expected));
}

inline void need_dimension(const char* key, int64_t value) {
  need(value >= 1 && value <= kMaxDimension, key, value, "1 to 2^24");
}

}  // namespace corral::model
