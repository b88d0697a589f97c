// How the thinking of a chat's answer is given to clients of OpenAI's API, which has no member for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace touchstone::serve {

enum class ReasoningForm : std::uint8_t {
  reasoning_content,  // a member of the message, as DeepSeek's API has it
  reasoning,          // the same under the name that vLLM and OpenRouter give it
  inline_tags,        // in `content`, between <think> and </think>
  thinking_blocks,    // Anthropic's blocks as a member of the message, as LiteLLM has them
};

/// The names of find_reasoning_form(), for errors.
inline constexpr const char* kReasoningForms = "reasoning_content, reasoning, inline or thinking_blocks";

/// Nothing for another name.
inline std::optional<ReasoningForm> find_reasoning_form(std::string_view name) {
  if (name == "reasoning_content") return ReasoningForm::reasoning_content;
  if (name == "reasoning") return ReasoningForm::reasoning;
  if (name == "inline") return ReasoningForm::inline_tags;
  if (name == "thinking_blocks") return ReasoningForm::thinking_blocks;
  return std::nullopt;
}

}  // namespace touchstone::serve
