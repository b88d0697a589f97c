// Tool calls in Qwen's form, <tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>, out of an answer as it
// streams.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace touchstone::serve {

/// A piece of a call. The first one of a call has its name.
struct ToolCallDelta {
  std::size_t index = 0;  // which call of the answer
  std::string name;
  std::string arguments;  // JSON text, as the model writes it
};

struct ToolText {
  std::string content;  // what is not a call
  std::vector<ToolCallDelta> calls;
};

/// Feeds on the answer's text; holds back what could be the beginning of a tag, and white space that may
/// stand before one. What stands between tags and is not a call is content, tags included.
class ToolCallParser {
 public:
  ToolText push(std::string_view piece);
  ToolText finish();
  std::size_t num_calls() const { return num_calls_; }
  /// Behind finish(): the last call was cut off.
  bool in_arguments() const { return state_ == State::arguments; }

 private:
  enum class State {
    text,       // outside
    head,       // behind <tool_call>, the name is not yet known
    arguments,  // inside the arguments, which are passed on
    tail,       // behind the arguments
  };
  bool read_text(bool at_end, ToolText& out);
  bool read_head(bool at_end, ToolText& out);
  bool read_arguments(ToolText& out);
  bool read_tail(bool at_end);
  ToolText read(bool at_end);

  State state_ = State::text;
  std::string pending_;
  std::size_t num_calls_ = 0;
  int depth_ = 0;  // of the arguments' brackets
  bool in_string_ = false, escaped_ = false;
};

}  // namespace touchstone::serve
