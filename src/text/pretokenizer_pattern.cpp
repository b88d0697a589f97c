#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretokenizer_pattern.h"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "text/unicode.h"

namespace touchstone {
namespace {

constexpr std::uint64_t kStepBytes = 4;   // of text looked through take as long as one step
constexpr std::uint64_t kItemBytes = 64;  // of an item take as long again for each byte of text
constexpr std::uint32_t kHeapLimitKib = 256 * 1024;
constexpr std::size_t kMaxPatternBytes = 64 * 1024;
constexpr std::uint32_t kMaxGroups = 100;

std::string pcre_message(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

// The members of classes that Oniguruma and PCRE2 spell alike and mean differently.
constexpr std::string_view kSpace = R"(\x{9}-\x{D}\x{85}\p{Z})";          // PCRE2 adds U+180E
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";  // PCRE2: no marks
constexpr std::string_view kLoneWord = R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";  // ²³¹¼½¾ count outside a class
constexpr std::string_view kHexDigit = "0-9a-fA-F";                           // PCRE2: blanks

std::string bracket(std::string_view members, bool negated = false) {
  return (negated ? "[^" : "[") + std::string(members) + "]";
}

/// PCRE2's words for Oniguruma's escape `\c`.
std::string translate_escape(char c, bool in_class) {
  const std::string newer_words = newer_members("L") + newer_members("M") + newer_members("Nd");
  const std::string digits = R"(\p{Nd})" + newer_members("Nd");
  const std::string word_members = std::string(kWord) + std::string(kLoneWord) + newer_words;
  const std::string word = bracket(word_members);
  switch (c) {
    case 'd':
      return in_class ? digits : bracket(digits);
    case 's':
      return in_class ? std::string(kSpace) : bracket(kSpace);
    case 'w':
      return in_class ? std::string(kWord) + newer_words : word;
    case 'h':
      return in_class ? std::string(kHexDigit) : bracket(kHexDigit);
    case 'S':
    case 'W':
    case 'H':
      if (in_class) {
        throw Error("the tokenizer's pattern has \\" + std::string(1, c) +
                    " inside a class, which is not supported");
      }
      return bracket(c == 'S' ? kSpace : c == 'W' ? word_members : kHexDigit, true);
    case 'b':
      if (in_class) return "\\b";
      return "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))";
    case 'B':
    case 'K':
    case 'R':
    case 'X':
      throw Error("the tokenizer's pattern has \\" + std::string(1, c) + ", which is not supported");
    default:
      return {'\\', c};
  }
}

struct NamedClass {
  std::string_view name;
  std::string members;
};

/// The members of `[:name:]`.
std::string translate_named_class(std::string_view name) {
  const std::string letters = newer_members("L");
  const std::string digits = translate_escape('d', true);
  const std::array<NamedClass, 10> classes{
      {{"alnum", R"(\p{Alphabetic})" + letters + digits},
       {"alpha", R"(\p{Alphabetic})" + letters},
       {"cntrl", R"(\p{Cc})"},
       {"digit", digits},
       {"lower", R"(\p{Lowercase})" + newer_members("Ll")},
       {"punct", R"(\p{P}\p{S})" + newer_members("P") + newer_members("S")},
       {"space", translate_escape('s', true)},
       {"upper", R"(\p{Uppercase})" + newer_members("Lu")},
       {"word", translate_escape('w', true)},
       {"xdigit", translate_escape('h', true)}}};
  const auto* const found =
      std::find_if(classes.begin(), classes.end(), [&](const NamedClass& c) { return c.name == name; });
  if (found == classes.end()) {
    throw Error("the tokenizer's pattern has [:" + std::string(name.substr(0, 20)) +
                ":], which is not supported");
  }
  return found->members;
}

bool compiles(const std::string& expression) {
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                       PCRE2_UTF, &code, &offset, nullptr);
  pcre2_code_free(compiled);
  return compiled != nullptr;
}

/// The property `\p{…}` or `\P{…}` that begins at `at`, or nothing. A script's name means its own characters,
/// as in Oniguruma; PCRE2 adds those that other scripts share with it ("、" to Han) unless it is told not to,
/// and may not know the newest characters of a category.
std::string translate_property(std::string_view expression, std::size_t at, bool in_class,
                               std::size_t& length) {
  const std::size_t close = expression.find('}', at);
  if (expression.substr(at + 2, 1) != "{" || close == std::string_view::npos) return {};
  std::string_view name = expression.substr(at + 3, close - at - 3);
  length = close + 1 - at;
  const bool negated = name.starts_with('^');
  if (negated) name.remove_prefix(1);
  const bool inverted = (expression[at + 1] == 'P') != negated;
  const std::string members = name.size() <= 2 ? newer_members(name) : "";
  if (!members.empty() && !(in_class && inverted)) {
    const std::string all = "\\p{" + std::string(name) + "}" + members;
    return in_class ? all : bracket(all, inverted);
  }
  const std::string head = std::string(expression.substr(at, 3)) + (negated ? "^" : "");
  const std::string script = "sc:" + std::string(name) + "}";
  return head + (compiles("\\p{" + script) ? script : std::string(name) + "}");
}

/// Throws Error for a group of a kind that Oniguruma does not know or reads differently: it has no verbs,
/// callouts and calls of PCRE2's form, and its option m is another.
void check_group(std::string_view group) {
  if (!group.starts_with("(*") && !group.starts_with("(?")) return;
  std::string_view kind = group.substr(2);
  const bool named = kind.starts_with('<') || kind.starts_with('\'');
  const bool plain = group[1] == '?' && !kind.empty() && std::string_view(":=!>#").find(kind[0]) != kind.npos;
  kind.remove_prefix(std::min(kind.find_first_not_of("ix-"), kind.size()));
  const bool options = group[1] == '?' && (kind.starts_with(':') || kind.starts_with(')'));
  if (plain || named || options) return;
  throw Error("the tokenizer's pattern has the group " + std::string(group.substr(0, 4)) +
              ", which is not supported");
}

/// Rewrites what the two syntaxes disagree on. `&&` and nested brackets inside a class are set operations,
/// which PCRE2 lacks.
std::string translate(std::string_view expression) {
  std::string result;
  bool in_class = false;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    const char next = i + 1 < expression.size() ? expression[i + 1] : '\0';
    if (c == '\\' && (next == 'p' || next == 'P')) {
      std::size_t length = 0;
      const std::string property = translate_property(expression, i, in_class, length);
      if (!property.empty()) {
        result += property;
        i += length - 1;
        continue;
      }
    }
    if (c == '\\' && next != '\0') {
      result += translate_escape(next, in_class);
      ++i;
      continue;
    }
    if (in_class && ((c == '[' && next != ':') || (c == '&' && next == '&'))) {
      throw Error("the tokenizer's pattern has a set operation inside a class, which is not supported");
    }
    if (in_class && c == '[') {  // [:name:]
      const std::size_t end = expression.find(":]", i);
      if (end == std::string_view::npos) throw Error("the tokenizer's pattern has an open [: class");
      result += translate_named_class(expression.substr(i + 2, end - i - 2));
      i = end + 1;
      continue;
    }
    if (c == '(' && !in_class) check_group(expression.substr(i));
    result += c;
    if (c == '[') {
      in_class = true;
      // A bracket that comes first closes nothing.
      for (const char first : {'^', ']'}) {
        if (i + 1 < expression.size() && expression[i + 1] == first) result += expression[++i];
      }
    } else if (c == ']') {
      in_class = false;
    }
  }
  return result;
}

struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};

/// The greatest n of the repeats {n}, {n,} and {n,m}.
std::uint64_t longest_repeat(std::string_view expression) {
  std::uint64_t longest = 0;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    if (expression[i] == '\\') {
      i += expression.substr(i + 1, 2) == "x{" ? 2 : 1;
    } else if (expression[i] == '{') {
      std::uint64_t count = 0;
      std::from_chars(expression.data() + i + 1, expression.data() + expression.size(), count);
      longest = std::max(longest, count);
    }
  }
  return longest;
}

/// What one call of find() may take still.
struct Budget {
  const StepCost& cost;
  std::uint64_t left;
  std::size_t at;        // where the step before began
  std::size_t item = 0;  // the length of its item: a class is as slow as it is long
};

std::size_t distance(std::size_t a, std::size_t b) { return a > b ? a - b : b - a; }

/// PCRE2 calls this in front of every item of the pattern that it tries.
int charge_step(pcre2_callout_block* step, void* data) {
  Budget& budget = *static_cast<Budget*>(data);
  std::uint64_t looked_at = 1 + distance(step->current_position, budget.at) + budget.cost.unmoved;
  budget.at = step->current_position;
  if (budget.cost.refers_back) {  // a reference may compare all that a group holds, and fail at the end
    for (std::uint32_t i = 1; i < step->capture_top; ++i) {
      looked_at += distance(step->offset_vector[2 * i + 1], step->offset_vector[2 * i]);
    }
  }
  const std::uint64_t cost = 1 + looked_at * (1 + budget.item / kItemBytes) / kStepBytes;
  budget.item = step->next_item_length;
  if (cost > budget.left) return PCRE2_ERROR_MATCHLIMIT;
  budget.left -= cost;
  return 0;
}

/// What a thread matches with.
struct MatchState {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  MatchState() {
    if (data == nullptr || context == nullptr) throw std::bad_alloc();
    pcre2_set_heap_limit(context, kHeapLimitKib);
    pcre2_set_match_limit(context, UINT32_MAX);  // counts from each start anew: charge_step() bounds them all
  }
  ~MatchState() {
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
};

}  // namespace

Pattern::Pattern(std::string_view original) : source_(original) {
  if (original.size() > kMaxPatternBytes) throw Error("the tokenizer's pattern is longer than 64 KiB");
  const std::string expression = translate(original);
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  if (context == nullptr) throw std::bad_alloc();
  pcre2_set_parens_nest_limit(context.get(), kMaxGroups);
  int code = 0;
  PCRE2_SIZE offset = 0;
  // ^ and $ also match at line ends in Oniguruma's default syntax.
  std::unique_ptr<pcre2_code, CodeDeleter> compiled(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT,
                    &code, &offset, context.get()));
  if (compiled == nullptr) {
    throw Error("the tokenizer's pattern does not compile at byte " + std::to_string(offset) + ": " +
                pcre_message(code));
  }
  std::uint32_t last_reference = 0;
  std::uint32_t look_behind = 0;
  pcre2_pattern_info(compiled.get(), PCRE2_INFO_BACKREFMAX, &last_reference);
  pcre2_pattern_info(compiled.get(), PCRE2_INFO_MAXLOOKBEHIND, &look_behind);
  cost_.unmoved = std::max(longest_repeat(expression), std::uint64_t{look_behind});
  cost_.refers_back = last_reference > 0;
  // Not compiled further for the processor: that is faster, but a scan over the whole text may then come
  // between two steps.
  code_ = std::shared_ptr<const pcre2_code>(compiled.release(), CodeDeleter());
}

bool Pattern::find(std::string_view text, std::size_t start, Match& match, std::uint64_t& steps_left) const {
  thread_local const MatchState state;
  Budget budget{.cost = cost_, .left = steps_left, .at = start};
  pcre2_set_callout(state.context, charge_step, &budget);
  const int count =
      pcre2_match(static_cast<const pcre2_code*>(code_.get()), reinterpret_cast<PCRE2_SPTR>(text.data()),
                  text.size(), start, PCRE2_NO_UTF_CHECK, state.data, state.context);
  steps_left = budget.left;
  if (count == PCRE2_ERROR_NOMATCH) return false;
  if (count < 0) {
    throw Error("the tokenizer's pattern fails on this text: " + pcre_message(count),
                "shorten the text, or download the model again");
  }
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(state.data);
  // \K inside a lookaround can put the end before the start.
  if (offsets[1] < offsets[0] || offsets[0] < start) {
    throw Error("the tokenizer's pattern matches backwards", "download the model again");
  }
  match = {offsets[0], offsets[1]};
  return true;
}

}  // namespace touchstone
