// Anthropic's /v1/messages: its requests -> chats, and answers -> its content blocks. The dialect itself
// (kAnthropic) is declared in dialect.h.
#pragma once

#include <boost/json.hpp>

#include "serve/openai_request.h"

namespace touchstone::serve {

/// What /v1/messages/count_tokens says of a request, which may be longer than the context. Throws
/// RequestError.
boost::json::object count_message_tokens(const boost::json::object& body, RequestModel model);

}  // namespace touchstone::serve
