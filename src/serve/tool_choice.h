// OpenAI's fields `tools`, `tool_choice` and `parallel_tool_calls`.
#pragma once

#include <boost/json.hpp>

#include "serve/request_fields.h"
#include "serve/response_format.h"

namespace touchstone::serve {

struct ToolWishes {
  boost::json::array tools;  // as chat templates are given them; empty: none may be called
  AnswerForm form;           // of answers that may call them, or must
};

/// A call's arguments are held to its function's `parameters` where that is `strict`, otherwise to an object.
/// Members of a tool that neither this nor the template names are noted. Throws RequestError, which for a
/// schema that cannot be followed has the function's name and the reason.
ToolWishes read_tools(FieldReader& fields, std::string_view template_source, IgnoredFields& ignored);

}  // namespace touchstone::serve
