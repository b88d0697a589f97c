// The field `response_format`: what an answer must look like.
#pragma once

#include <memory>

#include "serve/request_fields.h"
#include "text/grammar.h"

namespace touchstone::serve {

/// {"type": "text" | "json_object" | "json_schema", "json_schema": {"name", "schema", "strict"}} as a grammar
/// that the answer must follow; null: any text. A schema is followed whether or not it is `strict`. Throws
/// RequestError, which for a schema that is not supported has the reason.
std::shared_ptr<const Grammar> read_response_format(FieldReader& fields);

}  // namespace touchstone::serve
