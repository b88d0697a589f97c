// OpenAI's request bodies -> what the engine is asked.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/prompt.h"
#include "serve/ballot.h"
#include "serve/reasoning_form.h"
#include "serve/request_fields.h"
#include "serve/response_format.h"

namespace touchstone::serve {

/// What a request is read against.
struct RequestModel {
  const Prompter& prompter;
  const SamplingParams& defaults;
  std::int32_t vocab_size;
  std::int32_t max_sequence_tokens;
  bool cuts_limits = false;  // to what the context leaves, where others are refused
};

struct CompletionRequest {
  bool is_chat = true;
  std::vector<Prompt> prompts;  // of a chat: one
  SamplingParams sampling;
  std::int32_t n = 1;  // samples of each prompt
  bool stream = false;
  bool include_usage = false;
  std::optional<ReasoningForm> reasoning_form;  // nothing: as the caller's key says
  bool echo = false;                            // text only: the prompt before the answer
  bool prompt_only = false;                     // no token is wanted: max_tokens is 0
  bool reads_tools = false;                     // <tool_call> in the answer is a call
  AnswerForm form;                              // that the answers have
  bool loop_guard = true;  // thinking that goes round in circles is taken back, then closed
  bool wants_receipt = false;
  boost::json::object template_input;  // of a chat whose answer stands in its next turn as it is; else empty
  std::optional<VoteWish> vote;        // of `n` samples, of which one is the answer
  IgnoredFields ignored;
  std::optional<std::int32_t> limit_cut_to;  // tokens: what the context leaves, where more were wanted
  boost::json::object repeated;              // members that the response repeats, in APIs that do so

  /// Whether log-probabilities are wanted of the prompt's tokens, too.
  bool scores_prompt() const { return echo && sampling.num_logprobs >= 0; }
};

/// The field "timeout", in seconds. Throws RequestError.
std::optional<double> read_timeout(FieldReader& fields);

/// Both throw RequestError, which names the field.
CompletionRequest read_chat_request(const boost::json::object& body, const RequestModel& model);
CompletionRequest read_text_request(const boost::json::object& body, const RequestModel& model);

}  // namespace touchstone::serve
