// OpenAI's messages -> what chat templates expect.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "serve/request_fields.h"

namespace touchstone::serve {

/// The `messages` field, checked: text parts joined, developer as system, the arguments of tool calls as
/// objects. Fields that neither this nor the template knows are noted. Throws RequestError.
boost::json::array read_messages(FieldReader& fields, std::string_view template_source,
                                 IgnoredFields& ignored);

/// The same messages with the arguments of tool calls as strings, for templates that write them as they are.
boost::json::array with_argument_strings(boost::json::array messages);

}  // namespace touchstone::serve
