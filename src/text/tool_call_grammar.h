// Answers that call tools, in the form that Qwen's templates teach, as a grammar.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "text/grammar.h"

namespace touchstone {

inline constexpr std::string_view kToolCallOpens = "<tool_call>";
inline constexpr std::string_view kToolCallCloses = "</tool_call>";

/// What stands between the opening tag and the arguments. The name comes first, for it says what they must
/// be.
std::string tool_call_head(std::string_view name);

/// `form`: {"type": "tool_calls", "functions": [{"name", "parameters"}], "required": bool, "parallel": bool}.
/// With `required` the answer is a call, and with `parallel` it may be several, one a line; otherwise it is
/// any text with calls in it, or of those that are not `parallel` with at most one, at its end. A call's
/// arguments are what `parameters` (json_schema.h) accepts, and any object without. Throws Error, which names
/// the function whose schema cannot be followed.
Grammar compile_tool_calls(const boost::json::object& form);

}  // namespace touchstone
