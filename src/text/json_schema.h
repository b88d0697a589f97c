// JSON schemas as grammars, so that a model can be made to write nothing else.
#pragma once

#include <boost/json.hpp>

#include "text/json_grammar.h"

namespace touchstone {

/// All texts of the grammar are JSON that the schema (2020-12) accepts; not all that it accepts are texts of
/// the grammar. Properties come in the schema's order; those that it does not name only where
/// additionalProperties says so, or where it names none. White space is at most one space or one line break
/// with 20 spaces. Numbers have at most 15 digits before and behind the point. Understood: type, enum, const,
/// anyOf, oneOf of parts that plainly accept no value in common (text/schema_overlap.h), allOf of one, $ref
/// to places in the schema, $defs, definitions; properties, required, additionalProperties; items,
/// prefixItems, minItems, maxItems; minLength, maxLength; minimum, maximum, exclusiveMinimum,
/// exclusiveMaximum; words that assert nothing are passed over. Throws Error naming any other keyword, or
/// what contradicts itself.
Grammar compile_json_schema(const boost::json::value& schema);

/// The same as a rule of a grammar that has those of JSON, and is not finished.
std::int32_t add_json_schema(Grammar& grammar, const JsonRules& rules, const boost::json::value& schema);

/// Any JSON object.
Grammar make_json_object_grammar();

}  // namespace touchstone
