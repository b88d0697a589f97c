// Log lines with fields, as text or as JSON.
#pragma once

#include <boost/json.hpp>
#include <string>

namespace touchstone::serve {

/// From now on each line of the default logger is one JSON object: time, level, and `message` or the fields.
void use_json_logs();

/// Logs fields at level info: `key=value key=value`, or as members of the line's object.
void log_fields(const boost::json::object& fields);

/// One line of level info, whatever level is logged.
void log_always(const std::string& message);

}  // namespace touchstone::serve
