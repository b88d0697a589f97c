// What the engine makes -> OpenAI's response bodies, whole or as chunks of a stream.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "serve/openai_request.h"
#include "serve/tool_calls.h"
#include "text/reasoning.h"
#include "text/tokenizer.h"

namespace touchstone::serve {

/// The members that all chunks of a response share.
struct ResponseHead {
  std::string id, model;
  std::int64_t created = 0;  // Unix time
  bool is_chat = true;
  std::uint64_t seed = 0;
};

struct Usage {
  std::int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0, reasoning_tokens = 0;
};
boost::json::object to_json(const Usage& usage);

/// One answer as it grows. What it gives piece by piece is, put together, the whole answer: there is one way
/// to read an answer, streamed or not.
class Choice {
 public:
  Choice(const CompletionRequest& request, const Prompt& prompt, std::size_t index);

  /// Takes a token; returns the chunk that it brings, empty when nothing can be told yet.
  boost::json::object push(const TokenEvent& event, const Tokenizer& tokenizer);
  /// What was held back, and why the answer ended.
  boost::json::object finish(const std::string& reason);
  /// The choice of a response that is not streamed, after finish().
  boost::json::object whole() const;

  bool has_tokens() const { return num_tokens_ > 0; }
  const std::string& finish_reason() const { return finish_reason_; }

 private:
  struct Delta {
    std::string content, reasoning;
    std::vector<ToolCallDelta> calls;
  };
  struct Call {
    std::string id, name, arguments;
  };
  Delta read(std::string_view text, bool at_end);
  boost::json::object make_chunk(const Delta& delta, boost::json::value logprobs);
  boost::json::object chat_delta(const Delta& delta);
  boost::json::value read_logprobs(const TokenEvent& event, const Tokenizer& tokenizer);

  bool is_chat_, reads_tools_, wants_logprobs_;
  std::size_t index_;
  std::vector<std::int32_t> stop_ids_;  // that end the answer, and are not part of it
  ReasoningSplitter splitter_;
  ToolCallParser tools_;
  std::int64_t num_tokens_ = 0;
  bool begun_ = false;  // the first chunk has been made
  std::string content_, reasoning_;
  std::vector<Call> calls_;
  boost::json::array logprobs_;   // one entry a token
  std::int64_t text_offset_ = 0;  // of the next token, in characters
  std::string finish_reason_;
};

/// A chunk, or the whole, of a response: the shared members and `choices`.
boost::json::object make_response(const ResponseHead& head, bool is_chunk, boost::json::array choices);

/// `data: …` as it goes over the wire.
std::string format_event(const boost::json::value& value);

}  // namespace touchstone::serve
