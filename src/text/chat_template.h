// An interpreter of the Jinja2 language that Hugging Face chat templates use, bounded in steps, output and depth.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace touchstone {

/// What a rendering may cost; a template comes with a model file and is not trusted.
struct TemplateLimits {
  std::uint64_t steps = 20'000'000;              // evaluated nodes
  std::uint64_t output_bytes = 64 * 1024 * 1024;  // text made, intermediate values included
  int depth = 200;                                // nesting of expressions, macros and blocks
};

class ChatTemplate {
 public:
  /// Compiles with Hugging Face's settings (trim_blocks, lstrip_blocks). Throws Error with line and cause.
  static ChatTemplate parse(std::string_view source);

  /// Renders with `context` (messages, tools, add_generation_prompt, bos_token, eos_token, any kwargs).
  /// Throws Error: an undefined access, raise_exception() (its message is in what()), a limit.
  std::string render(const boost::json::object& context, const TemplateLimits& limits = {}) const;

  const std::string& source() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace touchstone
