// The APIs that are spoken on one port differ in how a request is read and in how its answer is written; what
// lies between (completions.h) is the same for all of them.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "answers/vote.h"
#include "engine/receipt.h"
#include "serve/choice.h"
#include "serve/http_server.h"
#include "serve/openai_request.h"
#include "serve/reasoning_form.h"
#include "serve/request_fields.h"

namespace touchstone::serve {

struct Usage {
  std::int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0, reasoning_tokens = 0;
  double prompt_s = 0, decode_s = 0;  // in the engine: to the first token, and from there to the last
  double total_s = 0;                 // since the request's arrival
};

/// Begins an answer's id in OpenAI's chats, by which a client of any dialect tells it to answer now.
inline constexpr const char* kChatIdPrefix = "chatcmpl-";

/// What the parts of a response are written from.
struct Response {
  std::string request_id, model;
  std::chrono::system_clock::time_point created;
  std::uint64_t seed = 0;
  bool include_usage = false;
  ReasoningForm reasoning_form = ReasoningForm::reasoning_content;  // in OpenAI's chats
  boost::json::object repeated;  // members that it takes over from its request
  const Tokenizer* tokenizer = nullptr;
  std::vector<Choice> choices;
  Usage usage;                     // of the prompts alone until all choices are finished
  std::int64_t num_events = 0;     // that a stream has had, where they are numbered
  std::optional<VoteResult> vote;  // which of the choices is the answer, where they voted
  std::optional<Receipt> receipt;  // where it is asked for
};

/// How an API reads and writes. All but `read` return bytes for the wire.
struct Dialect {
  /// What its clients append to a model's name that has no tag; empty: nothing.
  std::string_view default_tag = {};
  /// Whether the request's model is to be unloaded behind the answer; null: never. Throws RequestError.
  bool (*unloads)(FieldReader& fields) = nullptr;
  /// What a request gets that wants no more than its model loaded, or unloaded; nothing: another request.
  /// null: the API has none such. Throws RequestError.
  std::optional<std::string> (*answer_load)(FieldReader& fields, const std::string& model) = nullptr;
  /// The seconds that the request's body gives its answer; null: an API whose bodies don't. Throws
  /// RequestError.
  std::optional<double> (*read_timeout)(FieldReader& fields) = nullptr;
  /// Throws RequestError, which names the field.
  CompletionRequest (*read)(const boost::json::object& body, const RequestModel& model);
  const char* stream_type;  // its streams' content type
  const char* ping;         // what a stream can say without meaning anything; null: nothing
  /// What is new in a choice, as a part of the stream; empty: nothing.
  std::string (*write_delta)(Response& response, const Choice& choice, const AnswerDelta& delta);
  /// The stream's end, behind the last delta.
  std::string (*write_end)(Response& response);
  std::string (*write_whole)(const Response& response);
  std::string (*write_error)(const HttpError& error);
  /// An error that ends a stream which has begun. `num_events`: that it has had, where they are numbered.
  std::string (*write_stream_error)(std::int64_t num_events, const HttpError& error);
};

extern const Dialect kOpenAiChat, kOpenAiText;      // openai_response.cpp
extern const Dialect kOllamaChat, kOllamaGenerate;  // ollama.cpp
extern const Dialect kAnthropic;                    // anthropic.cpp
extern const Dialect kOpenAiResponses;              // openai_responses.cpp

/// A comment, which clients of server-sent events pass over.
inline constexpr const char* kPingComment = ": ping\n\n";

/// Writes a part of a stream, which begins with the first one.
void send_part(Reply& reply, const Dialect& dialect, std::string bytes);
/// Proxies cut streams that say nothing for long: says, after so much silence, that this one is alive.
void break_silence(Reply& reply, const Dialect& dialect, std::chrono::milliseconds most);
/// Answers with an error in the API's form; a stream that has begun ends with it. `dialect`: none: OpenAI's.
void send_error(Reply& reply, const Dialect* dialect, HttpResponse error, std::int64_t num_events = 0);

/// A server-sent event; `type` may be empty.
std::string format_event(const boost::json::value& data, std::string_view type = {});

/// A request of another API in the fields of chat completions.
struct ChatTranslation {
  boost::json::object chat;
  std::vector<std::pair<std::string, std::string>> names;  // chat's field -> what its own API calls it
  IgnoredFields ignored;
};

/// Takes a field over as it is: it is checked when the chat is read.
void copy_field(FieldReader& fields, std::string_view name, ChatTranslation& to, std::string_view chat_name);
inline void copy_field(FieldReader& fields, std::string_view name, ChatTranslation& to) {
  copy_field(fields, name, to, name);
}

/// How an API writes the tools that are a client's functions.
struct ToolForm {
  const char* type;
  std::optional<std::string> default_type;  // where a tool names none; nothing: it must
  const char* schema;                       // the member that describes the arguments
  bool needs_schema;
};

/// Takes the field `tools` over. Throws RequestError for tools of another type.
void copy_tools(FieldReader& fields, ChatTranslation& to, const ToolForm& form);

/// For APIs whose limit says how much is wanted at most, not how much there must be room for: their clients
/// send limits that are far too high by habit.
RequestModel with_cut_limits(RequestModel model);

/// Whether the model may think: for templates that can be told, and for models that think unasked.
void set_thinking(ChatTranslation& to, bool thinks);

/// `read`: of the fields' own API. Throws RequestError, which names the field as the request's API does.
CompletionRequest read_translated(const ChatTranslation& translation, const RequestModel& model,
                                  CompletionRequest (*read)(const boost::json::object&,
                                                            const RequestModel&) = read_chat_request);

/// A call's arguments, for APIs that want them parsed; false where the answer was cut off before their end.
bool parse_arguments(const AnswerBlock& call, boost::json::object& arguments);

}  // namespace touchstone::serve
