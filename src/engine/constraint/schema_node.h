#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint/json_pieces.h"

namespace corral::engine {

/// A schema, and where it stands in its document as a JSON pointer.
struct SchemaNode {
  const OrderedJson* json;
  std::string path;

  /// The value of a keyword, or null.
  const OrderedJson* find(const char* keyword) const;
  SchemaNode below(const std::string& name) const;  // a member of this object
  SchemaNode below(size_t index) const;             // an item of this list
  /// Throws UsageError naming the place.
  [[noreturn]] void fail(const std::string& why) const;
};

/// All of these hold for a value.
using SchemaNodes = std::vector<SchemaNode>;

/// Kinds of JSON values as bits. Whole numbers are numbers too: schemas that want these alone say
/// so beside.
namespace json_type {
inline constexpr uint32_t kNull = 1;
inline constexpr uint32_t kBoolean = 2;
inline constexpr uint32_t kNumber = 4;
inline constexpr uint32_t kString = 8;
inline constexpr uint32_t kArray = 16;
inline constexpr uint32_t kObject = 32;
inline constexpr uint32_t kAll = 63;
}  // namespace json_type

struct TypeSet {
  uint32_t bits = json_type::kAll;
  bool integer = false;  // of numbers only whole ones
};

/// Throws UsageError for a schema that is neither an object nor a boolean, and for a keyword that
/// would be ignored: one that this does not know, or whose value has the wrong form.
void check_keywords(const SchemaNode& node);

/// The types that a node names, or all.
TypeSet named_types(const SchemaNode& node);
/// The types that a node's other keywords are about; 0: none of them is about a type.
uint32_t implied_types(const SchemaNode& node);
uint32_t type_of(const OrderedJson& value);

/// A keyword's value as a whole number from 0 on, or what it is when absent.
int64_t count_of(const SchemaNode& node, const char* keyword, int64_t absent);

/// The values that `enum` and `const` of a node leave; null when it has neither.
const OrderedJson* listed_values(const SchemaNode& node, OrderedJson& storage);

/// The schema that a reference within the document names. Throws UsageError when it leaves the
/// document or leads nowhere.
SchemaNode resolve_reference(const SchemaNode& node, const OrderedJson& document);

/// A node that is a $ref and nothing else that says something.
bool is_only_reference(const SchemaNode& node);

}  // namespace corral::engine
