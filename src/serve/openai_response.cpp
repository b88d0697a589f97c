// Chat and text completions: what the engine makes -> OpenAI's response bodies, whole or as chunks of a
// stream.
#include <algorithm>
#include <span>

#include "engine/model_hashes.h"
#include "serve/dialect.h"
#include "text/unicode.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace {

using Kind = AnswerBlock::Kind;

json::object describe_token(std::int32_t id, double logprob, const Tokenizer& tokenizer) {
  const std::string_view raw = tokenizer.token_bytes(id);
  json::array bytes;
  for (const char byte : raw) bytes.push_back(static_cast<unsigned char>(byte));
  return {{"token", to_valid_utf8(raw)}, {"logprob", logprob}, {"bytes", std::move(bytes)}};
}

/// An entry a token.
json::object list_chat_logprobs(std::span<const TokenLogprob> tokens, const Tokenizer& tokenizer) {
  json::array entries;
  for (const TokenLogprob& token : tokens) {
    json::object entry = describe_token(token.id, token.logprob.value(), tokenizer);
    json::array& top = entry["top_logprobs"].emplace_array();
    for (const auto& [id, logprob] : token.top) top.push_back(describe_token(id, logprob, tokenizer));
    entries.push_back(std::move(entry));
  }
  return {{"content", std::move(entries)}};
}

/// An array a property.
json::object list_text_logprobs(std::span<const TokenLogprob> tokens, const Tokenizer& tokenizer) {
  json::array names, logprobs, tops, offsets;
  for (const TokenLogprob& token : tokens) {
    names.emplace_back(to_valid_utf8(tokenizer.token_bytes(token.id)));
    offsets.emplace_back(token.text_offset);
    json::object top;
    for (const auto& [id, logprob] : token.top)
      top.emplace(to_valid_utf8(tokenizer.token_bytes(id)), logprob);
    logprobs.push_back(token.logprob ? json::value(*token.logprob) : json::value());
    tops.push_back(token.logprob ? json::value(std::move(top)) : json::value());
  }
  return {{"tokens", std::move(names)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

json::object describe(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

/// A chunk, or the whole, of a response: the shared members and `choices`.
json::object make_response(const Response& response, const char* id_prefix, const char* object,
                           json::array choices) {
  return {{"id", id_prefix + response.request_id},
          {"object", object},
          {"created", std::chrono::system_clock::to_time_t(response.created)},
          {"model", response.model},
          {"seed", response.seed},
          {"system_fingerprint", "touchstone-" + engine_version()},
          {"choices", std::move(choices)}};
}

json::object make_chat(const Response& response, bool is_chunk, json::array choices) {
  const char* object = is_chunk ? "chat.completion.chunk" : "chat.completion";
  return make_response(response, kChatIdPrefix, object, std::move(choices));
}

json::object make_text(const Response& response, json::array choices) {
  return make_response(response, "cmpl-", "text_completion", std::move(choices));
}

void append_text(json::object& object, const char* name, const std::string& text) {
  json::value& member = object[name];
  if (member.is_null()) member = "";
  member.as_string() += text;
}

/// Adds thinking to a message in the member that is for it. What is inline stands in `content`.
void add_reasoning(ReasoningForm form, const std::string& text, json::object& message) {
  switch (form) {
    case ReasoningForm::reasoning_content:
      return append_text(message, "reasoning_content", text);
    case ReasoningForm::reasoning:
      return append_text(message, "reasoning", text);
    case ReasoningForm::thinking_blocks: {
      json::value& blocks = message["thinking_blocks"];
      if (blocks.is_null()) {
        blocks = json::array{json::object{{"type", "thinking"}, {"thinking", ""}, {"signature", ""}}};
      }
      return append_text(blocks.as_array()[0].as_object(), "thinking", text);
    }
    case ReasoningForm::inline_tags:
      return;
  }
}

/// What a piece of the answer adds to the message's `content`.
std::string content_of(ReasoningForm form, const Choice& choice, const AnswerPiece& piece) {
  const std::vector<AnswerBlock>& blocks = choice.blocks();
  const Kind kind = blocks[piece.block].kind;
  std::string text = kind == Kind::text ? piece.text : "";
  if (form != ReasoningForm::inline_tags) return text;
  if (kind == Kind::reasoning) return (piece.opens ? "<think>\n" : "") + piece.text;
  const bool closes = piece.opens && piece.block > 0 && blocks[piece.block - 1].kind == Kind::reasoning;
  return (closes ? "\n</think>\n\n" : "") + text;
}

json::object make_chat_delta(ReasoningForm form, const Choice& choice, const AnswerDelta& delta) {
  json::object object;
  if (delta.is_first) object["role"] = "assistant";
  for (const AnswerPiece& piece : delta.pieces) {
    const AnswerBlock& block = choice.blocks()[piece.block];
    if (const std::string text = content_of(form, choice, piece); !text.empty()) {
      append_text(object, "content", text);
    }
    if (block.kind == Kind::reasoning) add_reasoning(form, piece.text, object);
    if (block.kind != Kind::call) continue;
    json::object function = {{"arguments", piece.text}};
    json::object entry = {{"index", choice.count_calls(piece.block)}};
    if (piece.opens) {
      function["name"] = block.name;
      entry["id"] = block.id;
      entry["type"] = "function";
    }
    entry["function"] = std::move(function);
    if (!object.contains("tool_calls")) object["tool_calls"].emplace_array();
    object["tool_calls"].as_array().push_back(std::move(entry));
  }
  return object;
}

json::object make_message(ReasoningForm form, const Choice& choice) {
  std::string content;
  for (std::size_t i = 0; i < choice.blocks().size(); ++i) {
    content += content_of(form, choice, {.block = i, .opens = true, .text = choice.blocks()[i].text});
  }
  const std::string reasoning = choice.joined(Kind::reasoning);
  json::object message = {{"role", "assistant"}, {"content", content}};
  if (!reasoning.empty()) add_reasoning(form, reasoning, message);
  for (const AnswerBlock& block : choice.blocks()) {
    if (block.kind != Kind::call) continue;
    if (!message.contains("tool_calls")) message["tool_calls"].emplace_array();
    message["tool_calls"].as_array().push_back(
        {{"id", block.id},
         {"type", "function"},
         {"function", {{"name", block.name}, {"arguments", block.text}}}});
  }
  if (content.empty() && message.contains("tool_calls")) message["content"] = nullptr;
  return message;
}

/// Why the answer ended, null while it goes on, and what OpenAI's API has no member for.
void add_end(json::object& choice_json, const Choice& choice) {
  choice_json["finish_reason"] =
      choice.finish_reason().empty() ? json::value() : json::value(choice.finish_reason());
  if (choice.loops() > 0) choice_json["touchstone"] = {{"loops", choice.loops()}};
}

std::string format_chunk(const Response& response, json::object chunk) {
  if (response.include_usage) chunk["usage"] = nullptr;
  return format_event(chunk);
}

std::string write_chat_delta(Response& response, const Choice& choice, const AnswerDelta& delta) {
  if (delta.says_nothing()) return {};
  json::object chunk = {{"index", choice.index()},
                        {"delta", make_chat_delta(response.reasoning_form, choice, delta)}};
  chunk["logprobs"] = delta.logprobs.empty()
                          ? json::value()
                          : json::value(list_chat_logprobs(delta.logprobs, *response.tokenizer));
  add_end(chunk, choice);
  return format_chunk(response, make_chat(response, true, {std::move(chunk)}));
}

std::string write_text_delta(Response& response, const Choice& choice, const AnswerDelta& delta) {
  if (delta.says_nothing()) return {};
  std::string text;
  for (const AnswerPiece& piece : delta.pieces) text += piece.text;
  json::object chunk = {{"index", choice.index()}, {"text", text}};
  chunk["logprobs"] = delta.logprobs.empty()
                          ? json::value()
                          : json::value(list_text_logprobs(delta.logprobs, *response.tokenizer));
  add_end(chunk, choice);
  return format_chunk(response, make_text(response, {std::move(chunk)}));
}

std::string write_end(const Response& response, json::object last) {
  if (response.include_usage) last["usage"] = describe(response.usage);
  if (response.receipt) last["receipt"] = to_json(*response.receipt);
  return (response.include_usage || response.receipt ? format_event(last) : "") + "data: [DONE]\n\n";
}

std::string write_chat_end(Response& response) { return write_end(response, make_chat(response, true, {})); }
std::string write_text_end(Response& response) { return write_end(response, make_text(response, {})); }

std::string write_whole_chat(const Response& response) {
  json::array choices;
  for (const Choice& choice : response.choices) {
    if (response.vote && choice.index() != response.vote->sample) continue;
    json::object entry = {{"index", choices.size()},
                          {"message", make_message(response.reasoning_form, choice)},
                          {"logprobs", choice.wants_logprobs() ? json::value(list_chat_logprobs(
                                                                     choice.logprobs(), *response.tokenizer))
                                                               : json::value()}};
    add_end(entry, choice);
    choices.push_back(std::move(entry));
  }
  json::object whole = make_chat(response, false, std::move(choices));
  if (response.vote)
    whole["vote"] = to_json(*response.vote, static_cast<std::int32_t>(response.choices.size()));
  whole["usage"] = describe(response.usage);
  if (response.receipt) whole["receipt"] = to_json(*response.receipt);
  return json::serialize(whole);
}

std::string write_whole_text(const Response& response) {
  json::array choices;
  for (const Choice& choice : response.choices) {
    json::object entry = {{"index", choice.index()},
                          {"text", choice.joined(Kind::text)},
                          {"logprobs", choice.wants_logprobs() ? json::value(list_text_logprobs(
                                                                     choice.logprobs(), *response.tokenizer))
                                                               : json::value()}};
    add_end(entry, choice);
    choices.push_back(std::move(entry));
  }
  json::object whole = make_text(response, std::move(choices));
  whole["usage"] = describe(response.usage);
  if (response.receipt) whole["receipt"] = to_json(*response.receipt);
  return json::serialize(whole);
}

std::string write_stream_error(std::int64_t, const HttpError& error) {
  return "data: " + format_error(error) + "\n\ndata: [DONE]\n\n";
}

}  // namespace

const Dialect kOpenAiChat = {.read_timeout = read_timeout,
                             .read = read_chat_request,
                             .stream_type = "text/event-stream",
                             .ping = kPingComment,
                             .write_delta = write_chat_delta,
                             .write_end = write_chat_end,
                             .write_whole = write_whole_chat,
                             .write_error = format_error,
                             .write_stream_error = write_stream_error};

const Dialect kOpenAiText = {.read_timeout = read_timeout,
                             .read = read_text_request,
                             .stream_type = "text/event-stream",
                             .ping = kPingComment,
                             .write_delta = write_text_delta,
                             .write_end = write_text_end,
                             .write_whole = write_whole_text,
                             .write_error = format_error,
                             .write_stream_error = write_stream_error};

}  // namespace touchstone::serve
