// A fuzz target of chat templates: whatever the source, it renders a conversation with tools or fails as a
// template does, within its limits.
#include <boost/json.hpp>
#include <cstdint>
#include <string_view>

#include "text/chat_template.h"

using namespace touchstone;

namespace {

constexpr TemplateLimits kLimits{.steps = 100'000, .output_bytes = 1024 * 1024, .depth = 200};

boost::json::object make_conversation() {
  return boost::json::parse(R"({"messages":[{"role":"system","content":"Be brief."},
      {"role":"user","content":[{"type":"text","text":"π <b>"}]},
      {"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"c","type":"function",
       "function":{"name":"f","arguments":{"x":1.5,"y":[true,null,-7]}}}]},
      {"role":"tool","tool_call_id":"c","content":"1"},{"role":"assistant","content":"<think>t</think>a"}],
      "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],
      "add_generation_prompt":true,"bos_token":"<s>","eos_token":"</s>","n":123456789012345678})")
      .as_object();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const boost::json::object conversation = make_conversation();
  try {
    const ChatTemplate chat_template =
        ChatTemplate::parse(std::string_view(reinterpret_cast<const char*>(data), size));
    chat_template.render(conversation, kLimits, {.now = "2026-03-05T07:08:09"});
  } catch (const TemplateError&) {
  }
  return 0;
}
