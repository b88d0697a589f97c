#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretokenizer.h"

#include <pcre2.h>

#include <cassert>

#include "base/error.h"

namespace touchstone {
namespace {

// GPT-2's pattern, as the ByteLevel pre-tokenizer applies it with use_regex.
constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kDigits = R"(\p{N}+)";

// Far beyond what a pre-tokenizer's pattern needs on any text; a pattern that does more is hostile.
constexpr std::uint32_t kMatchLimit = 50'000'000;
constexpr std::size_t kHeapLimitKib = 512 * 1024;
constexpr std::size_t kMaxPatternBytes = 64 * 1024;

std::string pcre_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

/// \s as Unicode's White_Space, which the reference means; PCRE2's own also takes U+180E.
std::string spell_out_whitespace(const std::string& expression) {
  constexpr std::string_view kSpace = R"(\t-\r\x{85}\p{Z})";
  std::string result;
  bool in_class = false;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '\\' && i + 1 < expression.size()) {
      const char next = expression[++i];
      if (next == 's') {
        result.append(in_class ? "" : "[").append(kSpace).append(in_class ? "" : "]");
      } else if (next == 'S' && !in_class) {
        result.append("[^").append(kSpace).append("]");
      } else {
        result += c;
        result += next;
      }
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    result += c;
  }
  return result;
}

struct MatchState {
  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
  MatchState()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(64 * 1024, 64 * 1024 * 1024, nullptr)) {
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKib);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchState() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
};

}  // namespace

Pattern::Pattern(const std::string& original) {
  const std::string expression = spell_out_whitespace(original);
  if (expression.size() > kMaxPatternBytes) throw Error("the tokenizer's pattern is longer than 64 KiB");
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &offset, nullptr);
  if (compiled == nullptr) {
    throw Error("the tokenizer's pattern does not compile at " + std::to_string(offset) + ": " +
                pcre_message(code));
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
  code_ = std::shared_ptr<void>(compiled, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
}

bool Pattern::find(std::string_view text, std::size_t start, std::size_t& begin, std::size_t& end) const {
  thread_local const MatchState state;
  const int count =
      pcre2_match(static_cast<const pcre2_code*>(code_.get()), reinterpret_cast<PCRE2_SPTR>(text.data()),
                  text.size(), start, PCRE2_NO_UTF_CHECK, state.data, state.context);
  if (count == PCRE2_ERROR_NOMATCH) return false;
  if (count < 0)
    throw Error("the tokenizer's pattern fails on this text: " + pcre_message(count), "split the text");
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(state.data);
  begin = offsets[0];
  end = offsets[1];
  return true;
}
}  // namespace touchstone

namespace touchstone {
namespace {

using Piece = std::string_view;

/// Applies one step to a piece. Zero-length matches are skipped, as in the reference.
void apply_step(const SplitStep& step, Piece text, std::vector<Piece>& out) {
  struct Span {
    std::size_t begin, end;
    bool match;
  };
  std::vector<Span> spans;
  std::size_t at = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  for (std::size_t search = 0; search < text.size() && step.pattern.find(text, search, begin, end);) {
    if (end == begin) {
      search = end + 1;
      while (search < text.size() && (static_cast<unsigned char>(text[search]) & 0xC0U) == 0x80U) ++search;
      continue;
    }
    if (begin > at) spans.push_back({at, begin, step.invert});
    spans.push_back({begin, end, !step.invert});
    at = search = end;
  }
  if (at < text.size()) spans.push_back({at, text.size(), step.invert});

  const auto emit = [&](std::size_t b, std::size_t e) {
    if (e > b) out.push_back(text.substr(b, e - b));
  };
  switch (step.behavior) {
    case SplitBehavior::isolated:
      for (const Span& s : spans) emit(s.begin, s.end);
      return;
    case SplitBehavior::removed:
      for (const Span& s : spans) {
        if (!s.match) emit(s.begin, s.end);
      }
      return;
    case SplitBehavior::contiguous:
      for (std::size_t i = 0; i < spans.size();) {
        std::size_t j = i + 1;
        while (j < spans.size() && spans[j].match == spans[i].match) ++j;
        emit(spans[i].begin, spans[j - 1].end);
        i = j;
      }
      return;
    case SplitBehavior::merged_with_previous: {
      bool previous_match = false;
      std::size_t open = 0;
      bool has_open = false;
      for (const Span& s : spans) {
        if (s.match && !previous_match && has_open) {
          emit(open, s.end);
          has_open = false;
        } else {
          if (has_open) emit(open, s.begin);
          open = s.begin;
          has_open = true;
          if (s.match) {
            emit(s.begin, s.end);
            has_open = false;
          }
        }
        previous_match = s.match;
      }
      if (has_open) emit(open, text.size());
      return;
    }
    case SplitBehavior::merged_with_next: {
      std::size_t open = 0;
      bool has_open = false;
      for (const Span& s : spans) {
        if (s.match) {
          if (has_open) emit(open, s.begin);
          open = s.begin;
          has_open = true;
        } else {
          emit(has_open ? open : s.begin, s.end);
          has_open = false;
        }
      }
      if (has_open) emit(open, text.size());
      return;
    }
  }
}

SplitStep isolate(const char* pattern) { return {Pattern(pattern), SplitBehavior::isolated, false}; }

std::string escape_literal(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (std::string_view(R"(\^$.|?*+()[]{}-#)").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

bool flag(const boost::json::object& object, std::string_view key, bool fallback) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_bool() ? value->as_bool() : fallback;
}

std::string string_of(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

SplitStep parse_split(const boost::json::object& object) {
  const auto* pattern = object.if_contains("pattern");
  if (pattern == nullptr || !pattern->is_object()) throw Error("tokenizer.json: a Split has no pattern");
  const auto& kinds = pattern->as_object();
  const std::string regex =
      kinds.contains("Regex") ? string_of(kinds, "Regex") : escape_literal(string_of(kinds, "String"));
  const std::string behavior = string_of(object, "behavior");
  SplitStep step{Pattern(regex), SplitBehavior::isolated, flag(object, "invert", false)};
  if (behavior == "Removed")
    step.behavior = SplitBehavior::removed;
  else if (behavior == "MergedWithPrevious")
    step.behavior = SplitBehavior::merged_with_previous;
  else if (behavior == "MergedWithNext")
    step.behavior = SplitBehavior::merged_with_next;
  else if (behavior == "Contiguous")
    step.behavior = SplitBehavior::contiguous;
  else if (behavior != "Isolated")
    throw Error("tokenizer.json: unknown Split behavior '" + behavior + "'");
  return step;
}

constexpr int kMaxNesting = 16;

void parse_into(const boost::json::value& value, PreTokenizer& pre, int depth) {
  if (value.is_null()) return;
  if (depth > kMaxNesting || !value.is_object())
    throw Error("tokenizer.json: pre_tokenizer is not an object");
  const boost::json::object& object = value.as_object();
  const std::string type = string_of(object, "type");
  if (type == "Sequence") {
    const auto* list = object.if_contains("pretokenizers");
    if (list == nullptr || !list->is_array()) throw Error("tokenizer.json: a Sequence has no pretokenizers");
    for (const auto& entry : list->as_array()) parse_into(entry, pre, depth + 1);
  } else if (type == "Split") {
    pre.steps.push_back(parse_split(object));
  } else if (type == "ByteLevel") {
    if (flag(object, "add_prefix_space", true)) pre.add_prefix_space = true;
    if (flag(object, "use_regex", true)) pre.steps.push_back(isolate(kGpt2));
  } else if (type == "Digits") {
    pre.steps.push_back(flag(object, "individual_digits", false) ? isolate(kDigit) : isolate(kDigits));
  } else {
    throw Error("tokenizer.json: pre-tokenizer '" + type + "' is not supported",
                "supported: Sequence, Split, ByteLevel, Digits");
  }
}

}  // namespace

PreTokenizer parse_pre_tokenizer(const boost::json::value& value) {
  PreTokenizer pre;
  parse_into(value, pre, 0);
  return pre;
}

PreTokenizer named_pre_tokenizer(std::string_view name) {
  PreTokenizer pre;
  if (name == "qwen2" || name == "deepseek-r1-qwen") {
    pre.steps.push_back(isolate(kQwen2));
  } else if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") {
    pre.steps.push_back(isolate(kLlama3));
  } else if (name == "smollm") {
    pre.steps.push_back(isolate(kDigit));
    pre.steps.push_back(isolate(kGpt2));
  } else if (name == "gpt2" || name == "gpt-2" || name == "default") {
    pre.steps.push_back(isolate(kGpt2));
  } else {
    throw Error("unknown pre-tokenizer '" + std::string(name) + "'",
                "supported: qwen2, deepseek-r1-qwen, llama-bpe, smollm, gpt-2");
  }
  return pre;
}

void split_pieces(const PreTokenizer& pre, std::string_view text,
                  const std::function<void(std::string_view)>& emit) {
  if (text.empty()) return;
  std::string prefixed;
  if (pre.add_prefix_space && text.front() != ' ') {
    prefixed = " " + std::string(text);
    text = prefixed;
  }
  std::vector<Piece> pieces{text};
  std::vector<Piece> next;
  for (const SplitStep& step : pre.steps) {
    next.clear();
    for (const Piece piece : pieces) apply_step(step, piece, next);
    pieces.swap(next);
  }
  for (const Piece piece : pieces) emit(piece);
}

}  // namespace touchstone
