// What an answer must look like: the field `response_format`, or the form of tool calls (tool_choice.h).
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <string>

#include "serve/request_fields.h"
#include "text/grammar.h"

namespace touchstone::serve {

struct AnswerForm {
  boost::json::value json;                 // as a receipt has it
  std::shared_ptr<const Grammar> grammar;  // of the same; null: any text
};

/// `json` is what make_constraint() (engine/receipt.h) takes. Throws RequestError, which names `path` and has
/// the reason.
AnswerForm make_answer_form(boost::json::value json, const std::string& path);

/// {"type": "text" | "json_object" | "json_schema", "json_schema": {"name", "schema", "strict"}}. A schema is
/// followed whether or not it is `strict`. Throws RequestError.
AnswerForm read_response_format(FieldReader& fields, IgnoredFields& ignored);

}  // namespace touchstone::serve
