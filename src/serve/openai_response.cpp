#include "serve/openai_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "text/unicode.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace {

std::string random_call_id() {
  thread_local std::mt19937_64 random(std::random_device{}());
  return fmt::format("call_{:016x}", random());
}

json::object describe_token(std::int32_t id, float logprob, const Tokenizer& tokenizer) {
  const std::string_view raw = tokenizer.token_bytes(id);
  json::array bytes;
  for (const char byte : raw) bytes.push_back(static_cast<unsigned char>(byte));
  return {{"token", to_valid_utf8(raw)}, {"logprob", logprob}, {"bytes", std::move(bytes)}};
}

std::int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
}

/// Per-token entries as /v1/completions lists them: one array a property.
json::value columns_of(const json::array& entries) {
  json::object columns = {{"tokens", json::array()},
                          {"token_logprobs", json::array()},
                          {"top_logprobs", json::array()},
                          {"text_offset", json::array()}};
  for (const json::value& entry : entries) {
    for (const auto& [name, value] : entry.as_object()) columns[name].as_array().push_back(value);
  }
  return columns;
}

}  // namespace

json::object to_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

json::object make_response(const ResponseHead& head, bool is_chunk, json::array choices) {
  const char* object = !head.is_chat ? "text_completion"
                       : is_chunk    ? "chat.completion.chunk"
                                     : "chat.completion";
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"seed", head.seed},
          {"system_fingerprint", "touchstone-" TOUCHSTONE_VERSION},
          {"choices", std::move(choices)}};
}

std::string format_event(const json::value& value) { return "data: " + json::serialize(value) + "\n\n"; }

Choice::Choice(const CompletionRequest& request, const Prompt& prompt, std::size_t index)
    : is_chat_(request.is_chat),
      reads_tools_(request.reads_tools),
      wants_logprobs_(request.sampling.num_logprobs >= 0),
      index_(index),
      stop_ids_(request.sampling.ignore_eos ? std::vector<std::int32_t>() : request.sampling.stop_ids),
      splitter_(prompt.reasoning_opened),
      tools_(request.answer_begun) {
  if (request.echo) content_ = prompt.text;
}

Choice::Delta Choice::read(std::string_view text, bool at_end) {
  Delta delta;
  if (!is_chat_) {
    delta.content = text;
    return delta;
  }
  ReasoningText parts = splitter_.push(text);
  if (at_end) {
    const ReasoningText rest = splitter_.flush();
    parts.reasoning += rest.reasoning;
    parts.answer += rest.answer;
  }
  delta.reasoning = std::move(parts.reasoning);
  if (!reads_tools_) {
    delta.content = std::move(parts.answer);
    return delta;
  }
  ToolText tools = tools_.push(parts.answer);
  delta.content = std::move(tools.content);
  delta.calls = std::move(tools.calls);
  if (at_end) {
    ToolText rest = tools_.finish();
    delta.content += rest.content;
    std::move(rest.calls.begin(), rest.calls.end(), std::back_inserter(delta.calls));
  }
  return delta;
}

json::value Choice::read_logprobs(const TokenEvent& event, const Tokenizer& tokenizer) {
  const bool is_end = std::find(stop_ids_.begin(), stop_ids_.end(), event.id) != stop_ids_.end();
  if (!wants_logprobs_ || is_end) return nullptr;
  json::object entry = describe_token(event.id, event.logprob, tokenizer);
  if (is_chat_) {
    json::array& top = entry["top_logprobs"].emplace_array();
    for (const auto& [id, logprob] : event.top) top.push_back(describe_token(id, logprob, tokenizer));
    logprobs_.push_back(entry);
    return json::object{{"content", json::array{std::move(entry)}}};
  }
  json::object top;
  for (const auto& [id, logprob] : event.top) top.emplace(to_valid_utf8(tokenizer.token_bytes(id)), logprob);
  json::object row = {{"tokens", entry["token"]},
                      {"token_logprobs", event.logprob},
                      {"top_logprobs", std::move(top)},
                      {"text_offset", text_offset_}};
  text_offset_ += count_characters(tokenizer.token_bytes(event.id));
  logprobs_.push_back(row);
  return columns_of({std::move(row)});
}

json::object Choice::push(const TokenEvent& event, const Tokenizer& tokenizer) {
  ++num_tokens_;
  return make_chunk(read(event.text, false), read_logprobs(event, tokenizer));
}

json::object Choice::finish(const std::string& reason) {
  Delta rest = read({}, true);
  const bool calls = tools_.num_calls() > 0 && reason == "stop";
  finish_reason_ = calls ? "tool_calls" : reason;
  return make_chunk(rest, nullptr);
}

json::object Choice::chat_delta(const Delta& delta) {
  json::object object;
  if (!begun_) object["role"] = "assistant";
  if (!delta.content.empty()) object["content"] = delta.content;
  if (!delta.reasoning.empty()) object["reasoning_content"] = delta.reasoning;
  for (const ToolCallDelta& call : delta.calls) {
    const bool is_new = call.index == calls_.size();
    if (is_new) calls_.push_back({random_call_id(), call.name, ""});
    calls_[call.index].arguments += call.arguments;
    json::object function = {{"arguments", call.arguments}};
    json::object entry = {{"index", call.index}};
    if (is_new) {
      function["name"] = call.name;
      entry["id"] = calls_.back().id;
      entry["type"] = "function";
    }
    entry["function"] = std::move(function);
    if (!object.contains("tool_calls")) object["tool_calls"].emplace_array();
    object["tool_calls"].as_array().push_back(std::move(entry));
  }
  return object;
}

/// Empty when it would say nothing: not the first, no text, no reason to end.
json::object Choice::make_chunk(const Delta& delta, json::value logprobs) {
  const bool is_end = !finish_reason_.empty();
  const bool says_nothing = delta.content.empty() && delta.reasoning.empty() && delta.calls.empty() &&
                            logprobs.is_null() && begun_ && !is_end;
  if (says_nothing) return {};
  json::object chunk = {{"index", index_}};
  if (is_chat_) {
    chunk["delta"] = chat_delta(delta);
  } else {
    chunk["text"] = (begun_ ? "" : content_) + delta.content;  // what is echoed comes first
  }
  chunk["logprobs"] = std::move(logprobs);
  chunk["finish_reason"] = is_end ? json::value(finish_reason_) : json::value();
  content_ += delta.content;
  reasoning_ += delta.reasoning;
  begun_ = true;
  return chunk;
}

json::object Choice::whole() const {
  json::object choice = {{"index", index_}};
  if (is_chat_) {
    json::object message = {{"role", "assistant"}, {"content", content_}};
    if (!reasoning_.empty()) message["reasoning_content"] = reasoning_;
    if (!calls_.empty()) {
      json::array& calls = message["tool_calls"].emplace_array();
      for (const Call& call : calls_) {
        calls.push_back({{"id", call.id},
                         {"type", "function"},
                         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
      }
      if (content_.empty()) message["content"] = nullptr;
    }
    choice["message"] = std::move(message);
    choice["logprobs"] = wants_logprobs_ ? json::value(json::object{{"content", logprobs_}}) : json::value();
  } else {
    choice["text"] = content_;
    choice["logprobs"] = wants_logprobs_ ? columns_of(logprobs_) : json::value();
  }
  choice["finish_reason"] = finish_reason_;
  return choice;
}

}  // namespace touchstone::serve
