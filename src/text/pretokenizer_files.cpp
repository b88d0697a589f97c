// Pre-tokenizers as files name them: tokenizer.json's objects and GGUF's names.
#include "base/error.h"
#include "text/pretokenizer.h"
#include "text/tokenizer_fields.h"

namespace touchstone {
namespace {

constexpr std::size_t kMaxSteps = 64;

// The patterns that have a scanner, as published files spell them.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Looks back so that space inside a line is gone through once, not from each of its characters.
constexpr std::string_view kTrailingSpace = R"(\s+$)";
constexpr std::string_view kTrailingSpaceOnce = R"((?:\G|(?<!\s))\s+$)";

SplitStep step_of(Splitter splitter) {
  SplitStep step;
  step.splitter = splitter;
  return step;
}

SplitBehavior parse_behavior(std::string_view name) {
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  throw Error("tokenizer.json: unknown Split behavior '" + std::string(name) + "'");
}

std::string escape_literal(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (std::string_view(R"(\^$.|?*+()[]{}-#&)").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

SplitStep parse_split(const boost::json::object& object) {
  const boost::json::object& pattern =
      object_field(object, "pattern", "tokenizer.json: a Split pre-tokenizer");
  const auto regex = find_string(pattern, "Regex", "tokenizer.json: a Split's pattern");
  const auto literal = find_string(pattern, "String", "tokenizer.json: a Split's pattern");
  if (!regex && !literal) throw Error("tokenizer.json: a Split's pattern has neither Regex nor String");
  SplitStep step;
  step.behavior = parse_behavior(find_string(object, "behavior", "tokenizer.json: a Split").value_or(""));
  step.invert = flag_field(object, "invert", false, "tokenizer.json: a Split");
  // These patterns match every character, so isolating the matches is the same as removing what does not
  // match.
  const bool isolates =
      step.behavior == SplitBehavior::isolated || (step.behavior == SplitBehavior::removed && step.invert);
  if (isolates && regex == kGpt2) return step_of(Splitter::gpt2);
  if (isolates && regex == kQwen2) return step_of(Splitter::qwen2);
  if (isolates && regex == kLlama3) return step_of(Splitter::llama3);
  const std::string expression = regex ? std::string(*regex) : escape_literal(*literal);
  step.pattern = Pattern(regex == kTrailingSpace ? kTrailingSpaceOnce : expression);
  return step;
}

void parse_into(const boost::json::value& value, PreTokenizer& pre, int depth) {
  if (value.is_null()) return;
  if (!value.is_object()) throw Error("tokenizer.json: pre_tokenizer is not an object");
  if (depth > kMaxSequences) throw Error("tokenizer.json: pre_tokenizer is nested too deeply");
  const boost::json::object& object = value.as_object();
  constexpr std::string_view kWhere = "tokenizer.json: pre_tokenizer";
  const std::string_view type = find_string(object, "type", kWhere).value_or("");
  if (type == "Sequence") {
    for (const auto& entry : array_field(object, "pretokenizers", kWhere)) parse_into(entry, pre, depth + 1);
    return;
  }
  if (pre.byte_level) {
    throw Error("tokenizer.json: pre-tokenizer '" + std::string(type) +
                "' follows ByteLevel, which is not supported");
  }
  if (type == "Split") {
    pre.steps.push_back(parse_split(object));
  } else if (type == "ByteLevel") {
    if (flag_field(object, "add_prefix_space", true, kWhere))
      pre.steps.push_back(step_of(Splitter::prefix_space));
    if (flag_field(object, "use_regex", true, kWhere)) pre.steps.push_back(step_of(Splitter::gpt2));
    pre.byte_level = true;
  } else if (type == "Digits") {
    const bool individual = flag_field(object, "individual_digits", false, kWhere);
    pre.steps.push_back(step_of(individual ? Splitter::digit : Splitter::digits));
  } else {
    throw Error("tokenizer.json: pre-tokenizer '" + std::string(type) + "' is not supported",
                "supported: Sequence, Split, ByteLevel, Digits");
  }
  if (pre.steps.size() > kMaxSteps) throw Error("tokenizer.json: pre_tokenizer has more than 64 steps");
}

}  // namespace

PreTokenizer parse_pre_tokenizer(const boost::json::value& value) {
  PreTokenizer pre;
  parse_into(value, pre, 0);
  return pre;
}

PreTokenizer named_pre_tokenizer(std::string_view name) {
  PreTokenizer pre;
  pre.byte_level = true;
  if (name == "qwen2" || name == "deepseek-r1-qwen") {
    pre.steps = {step_of(Splitter::qwen2)};
  } else if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") {
    pre.steps = {step_of(Splitter::llama3)};
  } else if (name == "smollm") {
    pre.steps = {step_of(Splitter::digit), step_of(Splitter::gpt2)};
  } else if (name == "gpt2" || name == "gpt-2" || name == "default") {
    pre.steps = {step_of(Splitter::gpt2)};
  } else {
    throw Error("unknown pre-tokenizer '" + std::string(name) + "' (tokenizer.ggml.pre)",
                "supported: qwen2, deepseek-r1-qwen, llama-bpe, smollm, gpt-2");
  }
  return pre;
}

}  // namespace touchstone
