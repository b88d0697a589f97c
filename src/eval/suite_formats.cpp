#include "eval/suite_formats.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "answers/extract_number.h"
#include "base/error.h"

namespace touchstone {
namespace {

namespace json = boost::json;

// The longest known items are a few kilobytes; a longer line is a broken file or an attack.
constexpr std::size_t kMaxLineBytes = std::size_t{10} << 20;
constexpr std::size_t kMaxJsonDepth = 16;
constexpr std::size_t kMaxOptions = 26;  // letters A to Z
constexpr std::string_view kHint = "see suites/README.md for the forms that are read";

constexpr std::string_view kMathPrompt =
    "{question}\nPlease reason step by step, and put your final answer within \\boxed{}.";
constexpr std::string_view kMathPromptZh = "{question}\n请逐步推理，并将最终答案放在 \\boxed{} 中。";
constexpr std::string_view kCodePrompt =
    "Complete the following Python function. Answer with the whole function, imports included, in one "
    "```python code block.\n\n```python\n{prompt}\n```";
constexpr std::string_view kLogicPrompt =
    "{context}\n\n{question}\n{options}\n\n"
    "Exactly one option is right. Think it through, then write the letter of your choice on the last line, "
    "in the "
    "form \"Answer: X\".";
constexpr std::string_view kLogicPromptZh =
    "{context}\n\n{question}\n{options}\n\n"
    "只有一个选项是正确的。请先推理，最后一行以“答案：X”的形式写出所选选项的字母。";

[[noreturn]] void refuse_suite(const std::string& source, const std::string& what) {
  throw Error(source + ": " + what, std::string(kHint));
}

std::string get_string(const json::object& object, std::string_view key, const std::string& source) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) refuse_suite(source, fmt::format("the field \"{}\" is missing", key));
  if (!value->is_string()) refuse_suite(source, fmt::format("the field \"{}\" is not a string", key));
  return std::string(value->get_string());
}

std::string get_string_or(const json::object& object, std::string_view key, std::string_view otherwise,
                          const std::string& source) {
  return object.contains(key) ? get_string(object, key, source) : std::string(otherwise);
}

bool has_chinese(std::string_view text) {
  for (std::size_t i = 0; i + 2 < text.size(); ++i) {  // U+4E00 to U+9FFF begin with bytes E4 to E9
    const auto lead = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(text[i + 1]);
    if (lead >= 0xE5 && lead <= 0xE9) return true;
    if (lead == 0xE4 && next >= 0xB8) return true;
  }
  return false;
}

/// GSM8K writes the answer after the worked solution, as "#### 17".
std::string final_number(const std::string& answer, const std::string& source) {
  const std::size_t mark = answer.rfind("####");
  std::string number = mark == answer.npos ? answer : answer.substr(mark + 4);
  const std::size_t first = number.find_first_not_of(" \t\r\n");
  const std::size_t last = number.find_last_not_of(" \t\r\n");
  number = first == number.npos ? "" : number.substr(first, last - first + 1);
  if (!parse_number(number)) refuse_suite(source, fmt::format("the answer \"{}\" is not a number", number));
  return number;
}

void parse_math(const json::object& object, const std::string& source, Item& item) {
  item.question = get_string(object, "question", source);
  const json::value* answer = object.if_contains("answer");
  const bool plain = answer != nullptr && answer->is_number();
  item.answer = final_number(plain ? json::serialize(*answer) : get_string(object, "answer", source), source);
  item.language = has_chinese(item.question) ? "zh" : "en";
}

bool is_identifier(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (c < '0' || c > '9')) return false;
  }
  return true;
}

void parse_code(const json::object& object, const std::string& source, Item& item) {
  item.prompt = get_string(object, "prompt", source);
  item.entry_point = get_string(object, "entry_point", source);
  item.test = get_string(object, "test", source);
  item.canonical_solution = get_string_or(object, "canonical_solution", "", source);
  item.language = has_chinese(item.prompt) ? "zh" : "en";
  if (!is_identifier(item.entry_point)) {
    refuse_suite(
        source, fmt::format("the entry_point \"{}\" is not the name of a Python function", item.entry_point));
  }
  if (item.test.find("assert") == item.test.npos && item.test.find("def check(") == item.test.npos) {
    refuse_suite(source, "the test has neither check(candidate) nor an assert, so that it could never fail");
  }
}

std::optional<std::size_t> answer_position(const json::value& answer, std::size_t num_options) {
  if (const auto* number = answer.if_int64()) {
    const bool fits = *number >= 0 && std::cmp_less(*number, num_options);
    return fits ? std::optional(static_cast<std::size_t>(*number)) : std::nullopt;
  }
  const auto* letter = answer.if_string();
  if (letter == nullptr || letter->size() != 1) return std::nullopt;
  const auto index = static_cast<std::size_t>(static_cast<unsigned char>((*letter)[0] | 0x20)) - 'a';
  return index < num_options ? std::optional(index) : std::nullopt;
}

void parse_logic(const json::object& object, const std::string& source, Item& item) {
  item.context = get_string_or(object, "context", "", source);
  item.question = get_string(object, "question", source);
  const json::value* options = object.if_contains("options");
  if (options == nullptr || !options->is_array())
    refuse_suite(source, "the field \"options\" is not an array");
  for (const json::value& option : options->get_array()) {
    if (!option.is_string()) refuse_suite(source, "an option is not a string");
    item.options.emplace_back(option.get_string());
  }
  if (item.options.size() < 2 || item.options.size() > kMaxOptions) {
    refuse_suite(source, fmt::format("{} options; 2 to {} can be graded", item.options.size(), kMaxOptions));
  }
  const json::value* answer = object.if_contains("answer");
  const std::optional<std::size_t> index =
      answer == nullptr ? std::nullopt : answer_position(*answer, item.options.size());
  if (!index)
    refuse_suite(source, "the field \"answer\" is not the position of an option (from 0) or its letter");
  item.answer_index = *index;
  item.language = has_chinese(item.question + item.context) ? "zh" : "en";
}

std::string get_id(const json::object& object, const std::string& source) {
  for (const char* key : {"id", "task_id"}) {
    const json::value* id = object.if_contains(key);
    if (id == nullptr) continue;
    if (id->is_string() && !id->get_string().empty()) return std::string(id->get_string());
    if (id->is_int64() || id->is_uint64()) return json::serialize(*id);
    refuse_suite(source, fmt::format("the field \"{}\" is neither text nor a whole number", key));
  }
  return "";
}

/// The kind of items that carry no header, by the fields that only this kind has.
TaskKind guess_kind(const json::object& object, const std::string& source) {
  if (object.contains("entry_point")) return TaskKind::code;
  if (object.contains("options")) return TaskKind::logic;
  if (object.contains("question") && object.contains("answer")) return TaskKind::math;
  if (object.contains("kind")) refuse_suite(source, "a header needs the field \"suite\", the suite's name");
  refuse_suite(source, "neither a suite's header nor an item of a known form (GSM8K, HumanEval, LogiQA)");
}

void set_default_prompts(Suite& suite) {
  switch (suite.kind) {
    case TaskKind::math:
      suite.prompt = kMathPrompt;
      suite.prompt_zh = kMathPromptZh;
      break;
    case TaskKind::code:
      suite.prompt = kCodePrompt;
      break;
    case TaskKind::logic:
      suite.prompt = kLogicPrompt;
      suite.prompt_zh = kLogicPromptZh;
      break;
  }
}

void read_header(const json::object& header, const std::string& source, Suite& suite) {
  const std::string kind = get_string(header, "kind", source);
  if (kind != "math" && kind != "code" && kind != "logic") {
    refuse_suite(source, fmt::format("the kind \"{}\" is not math, code or logic", kind));
  }
  suite.kind = kind == "math" ? TaskKind::math : kind == "code" ? TaskKind::code : TaskKind::logic;
  const json::value* version = header.if_contains("version");
  if (version != nullptr && (!version->is_int64() || version->get_int64() != 1)) {
    refuse_suite(source, "the suite's version is not 1");
  }
  set_default_prompts(suite);
  suite.licence = get_string_or(header, "licence", "", source);
  suite.provenance = get_string_or(header, "provenance", "", source);
  if (!header.contains("prompt")) return;
  suite.prompt = get_string(header, "prompt", source);
  suite.prompt_zh = get_string_or(header, "prompt_zh", "", source);
}

json::object parse_line(std::string_view line, const std::string& source) {
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::system::error_code error;
  json::value value = json::parse(line, error, {}, options);
  if (error) refuse_suite(source, "not valid JSON: " + error.message());
  if (!value.is_object()) refuse_suite(source, "not a JSON object");
  return std::move(value.get_object());
}

/// Takes the next line off `text`, without its line end.
std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

}  // namespace

Item parse_item(TaskKind kind, const json::object& object, const std::string& source) {
  Item item;
  item.kind = kind;
  item.id = get_id(object, source);
  if (const json::value* steps = object.if_contains("steps")) {
    if (!steps->is_int64() || steps->get_int64() < 0 || steps->get_int64() > 1'000'000) {
      refuse_suite(source, "the field \"steps\" is not a count");
    }
    item.steps = static_cast<int>(steps->get_int64());
  }
  switch (kind) {
    case TaskKind::math:
      parse_math(object, source, item);
      break;
    case TaskKind::code:
      parse_code(object, source, item);
      break;
    case TaskKind::logic:
      parse_logic(object, source, item);
      break;
  }
  if (object.contains("language")) item.language = get_string(object, "language", source);
  return item;
}

void read_jsonl_suite(std::string_view text, const std::string& source, Suite& suite) {
  bool kind_known = false;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = next_line(text);
    if (is_blank(line)) continue;
    const std::string where = fmt::format("{}, line {}", source, number);
    if (line.size() > kMaxLineBytes) refuse_suite(where, "longer than 10 MiB");
    const json::object object = parse_line(line, where);
    if (!kind_known && object.contains("suite")) {
      read_header(object, where, suite);
      kind_known = true;
      continue;
    }
    if (!kind_known) {
      suite.kind = guess_kind(object, where);
      set_default_prompts(suite);
      kind_known = true;
    }
    suite.items.push_back(parse_item(suite.kind, object, where));
    Item& item = suite.items.back();
    if (item.id.empty()) item.id = fmt::format("{}-{}", suite.name, number);
  }
}

void read_logiqa_text(std::string_view text, const std::string& source, Suite& suite) {
  suite.kind = TaskKind::logic;
  set_default_prompts(suite);
  std::size_t number = 0;
  const auto take = [&](std::string_view what) {
    if (text.empty())
      refuse_suite(source, fmt::format("ends after line {} where the {} should be", number, what));
    const std::string_view line = next_line(text);
    ++number;
    if (line.size() > kMaxLineBytes)
      refuse_suite(fmt::format("{}, line {}", source, number), "longer than 10 MiB");
    if (is_blank(line)) {
      refuse_suite(fmt::format("{}, line {}", source, number),
                   fmt::format("empty where the {} should be", what));
    }
    return std::string(line);
  };
  while (!text.empty()) {
    if (std::string_view rest = text; is_blank(next_line(rest))) {
      text = rest;
      ++number;
      continue;
    }
    Item item;
    item.kind = TaskKind::logic;
    const std::string letter = take("right letter");
    const std::string where = fmt::format("{}, line {}", source, number);
    const char first = static_cast<char>(letter[0] | 0x20);
    if (letter.find_last_not_of(" \t") != 0 || first < 'a' || first > 'd') {
      refuse_suite(where, "not one of the letters a, b, c, d that begin an item of LogiQA's text form");
    }
    item.answer_index = static_cast<std::size_t>(first - 'a');
    item.id = fmt::format("{}-{}", suite.name, suite.items.size() + 1);
    item.context = take("context");
    item.question = take("question");
    for (const char label : {'A', 'B', 'C', 'D'}) {
      std::string option = take("option");
      // The originals write "A.text" or "A. text"; the template writes the letter itself.
      if (option.size() > 1 && option[0] == label && (option[1] == '.' || option[1] == ')')) {
        option.erase(0,
                     option.find_first_not_of(' ', 2) == option.npos ? 2 : option.find_first_not_of(' ', 2));
      }
      item.options.push_back(std::move(option));
    }
    item.language = has_chinese(item.question + item.context) ? "zh" : "en";
    suite.items.push_back(std::move(item));
  }
}

}  // namespace touchstone
