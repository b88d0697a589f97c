#include "serve/tool_calls.h"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/parse_json.h"
#include "text/tool_call_grammar.h"

namespace touchstone::serve {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

/// Where the text's last part begins that may still become white space and `tag`.
std::size_t find_possible_tag(std::string_view text, std::string_view tag) {
  std::size_t at = text.size();
  for (std::size_t size = std::min(tag.size() - 1, text.size()); size > 0; --size) {
    if (text.ends_with(tag.substr(0, size))) {
      at = text.size() - size;
      break;
    }
  }
  const std::size_t last = text.substr(0, at).find_last_not_of(kSpace);
  return last == std::string_view::npos ? 0 : last + 1;
}

/// Reads {"name": "…", "arguments": up to the value, in this order, which is the one that models are trained
/// on.
struct HeadReader {
  std::string_view text;
  bool expect(std::string_view token) {
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    if (!text.starts_with(token)) return false;
    text.remove_prefix(token.size());
    return true;
  }
  std::optional<std::string> read_string() {
    if (!expect("\"")) return std::nullopt;
    bool escaped = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (!escaped && text[i] == '"') {
        boost::system::error_code error;
        const auto value = boost::json::parse("\"" + std::string(text.substr(0, i)) + "\"", error);
        if (error) return std::nullopt;
        text.remove_prefix(i + 1);
        return std::string(value.get_string());
      }
      escaped = !escaped && text[i] == '\\';
    }
    return std::nullopt;
  }
};

struct Head {
  std::string name;
  std::size_t size;  // bytes before the arguments' value
};

std::optional<Head> read_streamed_head(std::string_view text) {
  HeadReader reader{text};
  if (!reader.expect("{") || !reader.expect("\"name\"") || !reader.expect(":")) return std::nullopt;
  const auto name = reader.read_string();
  if (!name || !reader.expect(",") || !reader.expect("\"arguments\"") || !reader.expect(":") ||
      !reader.expect("{")) {
    return std::nullopt;
  }
  return Head{*name, static_cast<std::size_t>(reader.text.data() - text.data()) - 1};
}

/// A whole call in any other order of its members.
std::optional<ToolCallDelta> parse_whole_call(std::string_view text) {
  boost::json::value value;
  try {
    value = parse_json(std::string(text), "the call");
  } catch (const Error&) {
    return std::nullopt;
  }
  if (!value.is_object()) return std::nullopt;
  const boost::json::object& call = value.get_object();
  const boost::json::value* name = call.if_contains("name");
  if (name == nullptr || !name->is_string()) return std::nullopt;
  const boost::json::value* arguments = call.if_contains("arguments");
  return ToolCallDelta{.index = 0,
                       .name = std::string(name->get_string()),
                       .arguments = arguments == nullptr ? "{}" : boost::json::serialize(*arguments)};
}

}  // namespace

ToolText ToolCallParser::push(std::string_view piece) {
  pending_ += piece;
  return read(false);
}

ToolText ToolCallParser::finish() { return read(true); }

ToolText ToolCallParser::read(bool at_end) {
  ToolText out;
  bool goes_on = true;
  while (goes_on) {
    switch (state_) {
      case State::text:
        goes_on = read_text(at_end, out);
        break;
      case State::head:
        goes_on = read_head(at_end, out);
        break;
      case State::arguments:
        goes_on = read_arguments(out);
        break;
      case State::tail:
        goes_on = read_tail(at_end);
        break;
    }
  }
  return out;
}

bool ToolCallParser::read_text(bool at_end, ToolText& out) {
  const std::size_t tag = pending_.find(kToolCallOpens);
  if (tag == std::string::npos) {
    std::size_t certain = at_end ? pending_.size() : find_possible_tag(pending_, kToolCallOpens);
    if (at_end && num_calls_ > 0 && pending_.find_first_not_of(kSpace) == std::string::npos) certain = 0;
    out.content += pending_.substr(0, certain);
    pending_.erase(0, at_end ? pending_.size() : certain);
    return false;
  }
  const std::size_t last = tag == 0 ? std::string::npos : pending_.find_last_not_of(kSpace, tag - 1);
  if (last != std::string::npos) out.content += pending_.substr(0, last + 1);
  pending_.erase(0, tag + kToolCallOpens.size());
  state_ = State::head;
  return true;
}

bool ToolCallParser::read_head(bool at_end, ToolText& out) {
  if (const auto head = read_streamed_head(pending_)) {
    out.calls.push_back({num_calls_++, head->name, ""});
    pending_.erase(0, head->size);
    state_ = State::arguments;
    depth_ = 0;
    in_string_ = escaped_ = false;
    return true;
  }
  const std::size_t close = pending_.find(kToolCallCloses);
  if (close == std::string::npos && !at_end) return false;
  const std::string inside = pending_.substr(0, close);
  if (auto call = parse_whole_call(inside)) {
    call->index = num_calls_++;
    out.calls.push_back(std::move(*call));
  } else {
    out.content +=
        std::string(kToolCallOpens) + inside + std::string(close == std::string::npos ? "" : kToolCallCloses);
  }
  pending_.erase(0, close == std::string::npos ? pending_.size() : close + kToolCallCloses.size());
  state_ = State::text;
  return true;
}

bool ToolCallParser::read_arguments(ToolText& out) {
  std::size_t size = 0;
  bool closed = false;
  while (size < pending_.size() && !closed) {
    const char c = pending_[size++];
    if (in_string_) {
      in_string_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
      continue;
    }
    in_string_ = c == '"';
    if (c == '{' || c == '[') ++depth_;
    if (c == '}' || c == ']') closed = --depth_ == 0;
  }
  if (size > 0) {
    if (out.calls.empty()) out.calls.push_back({num_calls_ - 1, "", ""});
    out.calls.back().arguments += pending_.substr(0, size);
  }
  pending_.erase(0, size);
  if (closed) state_ = State::tail;
  return closed;
}

/// Drops the object's end and the closing tag.
bool ToolCallParser::read_tail(bool at_end) {
  const std::size_t close = pending_.find(kToolCallCloses);
  const std::size_t next = pending_.find(kToolCallOpens);  // some models leave the closing tag out
  if (close != std::string::npos && close < next) {
    pending_.erase(0, close + kToolCallCloses.size());
  } else if (next != std::string::npos) {
    pending_.erase(0, next);
  } else {
    if (at_end) pending_.clear();
    if (!at_end) return false;
  }
  state_ = State::text;
  return true;
}

}  // namespace touchstone::serve
