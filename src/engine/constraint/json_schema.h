#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint/json_pieces.h"
#include "engine/constraint/schema_node.h"

namespace corral::engine {

/// Turns JSON Schema (draft 2020-12, of older drafts what means the same) into grammar. Every text
/// of the grammar is JSON that validates. Of the valid documents it has those that are spelled
/// plainly: members in the order of the schema, additional ones last; names, listed values and
/// texts with a pattern without needless escapes; bounded numbers without exponent.
/// docs/guides/structured-output.md lists the keywords.
///
/// What is not supported is refused, never ignored: every function throws UsageError naming the
/// keyword and the place of the schema.
class SchemaCompiler {
 public:
  /// The document must outlive the compiler; references lead into it.
  SchemaCompiler(JsonPieces& pieces, const OrderedJson& document)
      : pieces_(pieces), document_(document) {}

  /// The documents that the whole document describes.
  ExprId compile() { return compile({}); }
  /// Those of them that are objects.
  ExprId compile_object();

 private:
  // json_schema.cc: which schemas hold together.
  ExprId compile(SchemaNodes more);
  RuleId rule_of(SchemaNodes nodes);
  ExprId call(SchemaNodes nodes) { return pieces_.grammar().call(rule_of(std::move(nodes))); }
  ExprId alternatives(const SchemaNodes& nodes);
  struct Open;
  void expand(std::vector<Open> open, SchemaNodes flat, std::vector<SchemaNodes>& out);
  void check_disjoint(const SchemaNode& one_of);
  bool disjoint(SchemaNode a, SchemaNode b, int depth);
  SchemaNode followed(SchemaNode node);

  // schema_values.cc: what one such list of schemas without references and choices means.
  ExprId flat(const SchemaNodes& nodes);
  std::optional<ExprId> listed(const SchemaNodes& nodes, const TypeSet& types);
  ExprId number(const SchemaNodes& nodes, bool integer);
  std::optional<CharDfa> number_set(const SchemaNodes& nodes, bool integer);
  ExprId string(const SchemaNodes& nodes);
  std::optional<CharDfa> string_set(const SchemaNodes& nodes);
  friend class ListedValues;
  ExprId array(const SchemaNodes& nodes);

  // schema_object.cc
  struct Names;
  ExprId object(const SchemaNodes& nodes);
  Names names_of(const SchemaNodes& nodes);
  SchemaNodes schemas_of(const SchemaNodes& nodes, const std::string& name);
  ExprId other_members(const SchemaNodes& nodes, const Names& names);
  const CharDfa& pattern(const SchemaNode& node, const std::string& text);

  JsonPieces& pieces_;
  const OrderedJson& document_;
  std::map<std::vector<const OrderedJson*>, RuleId> rules_;
  std::vector<std::pair<RuleId, SchemaNodes>> pending_;  // rules without definition
  std::map<std::string, CharDfa> patterns_;
  int expansions_ = 0;
};

/// The grammar of the documents that a schema describes, and of all JSON objects.
Grammar schema_grammar(const OrderedJson& schema);
Grammar json_object_grammar();

/// Reads a schema. Throws UsageError with line and column when the text is not JSON.
OrderedJson parse_schema(std::string_view text);

}  // namespace corral::engine
