// An interpreter of the Jinja2 language that Hugging Face chat templates use, bounded in steps, output and
// depth.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace touchstone {

/// What a rendering may cost; a template comes with a model file and is not trusted.
struct TemplateLimits {
  std::uint64_t steps = 20'000'000;                // evaluated nodes and work that takes as long
  std::uint64_t output_bytes = 256 * 1024 * 1024;  // text and lists made, intermediate values included
  int depth = 800;                                 // nesting of expressions, macro calls and blocks
};

struct RenderOptions {
  /// What strftime_now() takes for now, "2026-03-05T07:08:09"; empty: the environment variable
  /// TOUCHSTONE_NOW, else the local clock.
  std::string now;
};

struct RenderedText {
  std::string text;
  /// First and one past the last character (code points) of each {% generation %} block.
  std::vector<std::pair<std::size_t, std::size_t>> generated;
};

/// Any failure of a template. `type` and `message` as Jinja has them ("UndefinedError", "'x' is undefined");
/// a limit has the type "LimitError". what() is one line that names the line of the template and both.
class TemplateError : public Error {
 public:
  TemplateError(std::string type, std::string message, int line);
  const std::string& type() const { return type_; }
  const std::string& message() const { return message_; }
  int line() const { return line_; }  // 0: not known

 private:
  std::string type_;
  std::string message_;
  int line_;
};

class ChatTemplate {
 public:
  /// Compiles with Hugging Face's settings (trim_blocks, lstrip_blocks). Throws TemplateError.
  static ChatTemplate parse(std::string_view source);

  /// Renders with `context` (messages, tools, add_generation_prompt, bos_token, eos_token, any variables) as
  /// Transformers' apply_chat_template does: `tools` and `documents` are none when they are not given,
  /// members of a message that are null are left out, a message's reasoning is known under each of its usual
  /// names (reasoning_content, reasoning, thinking), and `continue_final_message` ends the text behind the
  /// last message's content. Throws TemplateError: an undefined access, raise_exception() (its message is in
  /// what()), a limit.
  std::string render(const boost::json::object& context, const TemplateLimits& limits = {},
                     const RenderOptions& options = {}) const;

  /// The same without any of these conventions: what Jinja itself makes of the template and the variables.
  RenderedText render_plain(const boost::json::object& variables, const TemplateLimits& limits = {},
                            const RenderOptions& options = {}) const;

  const std::string& source() const;

  /// Whether the template can read a variable of this name, be it one that it sets itself.
  bool mentions(std::string_view variable) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// Whether a request's last message is to be continued: `continue_final_message` is true, or names a field.
bool continues_final_message(const boost::json::object& context);

}  // namespace touchstone
