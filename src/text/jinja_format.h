// Python's "{}".format().
#pragma once

#include <string>

#include "text/jinja_builtins.h"

namespace touchstone::jinja {

/// Attributes and items of fields are read with the sandbox's rules. Raises ValueError, IndexError, KeyError.
Value format_braces(Interpreter& interpreter, const Value& format, const CallArguments& arguments);

}  // namespace touchstone::jinja
