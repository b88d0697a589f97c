// Anthropic's /v1/messages: its requests -> chats, and answers -> its content blocks. The dialect itself
// (kAnthropic) is declared in dialect.h.
#pragma once

#include <boost/json.hpp>

#include "serve/openai_request.h"

namespace touchstone::serve {

/// A request whose tokens /v1/messages/count_tokens counts: it may be longer than the context. Throws
/// RequestError.
CompletionRequest read_message_count(const boost::json::object& body, RequestModel model);

}  // namespace touchstone::serve
