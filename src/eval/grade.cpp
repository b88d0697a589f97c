#include "eval/grade.h"

#include <fmt/format.h>

#include <algorithm>

#include "answers/extract_number.h"
#include "answers/extract_option.h"
#include "answers/extract_text.h"
#include "base/error.h"
#include "eval/extract_code.h"
#include "eval/sandbox.h"

namespace touchstone {
namespace {

// Answers are a few kilobytes; the end of a longer one is where its result stands.
constexpr std::size_t kMaxAnswerBytes = std::size_t{256} << 10;

Grade grade_number(const Item& item, std::string_view answer) {
  const NumberAnswer said = extract_number(answer, item.question);
  Grade grade{
      .verdict = Verdict::unanswered, .extracted = said.text, .why = said.why, .guessed = said.guessed};
  if (!said.number) {
    if (!said.text.empty()) grade.verdict = Verdict::wrong;
    return grade;
  }
  const std::optional<Number> expected = parse_number(item.answer);
  if (!expected)
    return {Verdict::error, said.text, "the item's own answer '" + item.answer + "' is not a number"};
  const bool same = same_number(*said.number, *expected);
  grade.verdict = same ? Verdict::correct : Verdict::wrong;
  grade.why = fmt::format("{} ({}) {} {}", said.text, said.why, same ? "equals" : "is not", item.answer);
  return grade;
}

Grade grade_option(const Item& item, std::string_view answer) {
  const OptionAnswer said = extract_option(answer, item.options);
  Grade grade{
      .verdict = Verdict::unanswered, .extracted = said.text, .why = said.why, .guessed = said.guessed};
  if (!said.index) {
    if (!said.text.empty()) grade.verdict = Verdict::wrong;
    return grade;
  }
  const bool same = *said.index == item.answer_index;
  const char expected = static_cast<char>('A' + static_cast<int>(item.answer_index));
  grade.verdict = same ? Verdict::correct : Verdict::wrong;
  grade.why = same ? fmt::format("{} ({})", said.text, said.why)
                   : fmt::format("{} ({}) is not {}", said.text, said.why, expected);
  return grade;
}

Grade grade_code(const Item& item, std::string_view answer) {
  const CodeAnswer code = extract_code(answer, item.prompt, item.entry_point);
  if (code.attempts.empty()) {
    return {code.shown.empty() ? Verdict::unanswered : Verdict::wrong, code.shown, code.why};
  }
  require_python();  // without it nothing can be graded; any other failure is this answer's alone
  ProgramResult result;
  try {
    result = run_checked({.preamble = prompt_preamble(item.prompt, item.entry_point),
                          .helpers = code.helpers,
                          .attempts = code.attempts,
                          .entry_point = item.entry_point,
                          .judge_preamble = item.prompt,
                          .test = item.test});
  } catch (const Error& error) {
    return {Verdict::error, code.shown, error.what()};
  }
  Grade grade;
  grade.verdict = result.outcome == ProgramOutcome::passed ? Verdict::correct : Verdict::wrong;
  grade.extracted = code.shown;
  grade.why = fmt::format("{}: {}", code.why, result.detail);
  grade.timed_out = result.outcome == ProgramOutcome::timed_out;
  return grade;
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::correct:
      return "correct";
    case Verdict::wrong:
      return "wrong";
    case Verdict::unanswered:
      return "unanswered";
    case Verdict::error:
      return "error";
  }
  return "";
}

Grade grade(const Item& item, std::string_view output, bool thinking_opened) {
  const OutsideThinking outside = remove_thinking(output, thinking_opened);
  std::string_view answer = outside.text;
  if (trim(answer).empty()) {
    return {Verdict::unanswered, "",
            outside.cut ? "the output ends before the thinking does"
                        : "nothing was written outside the thinking"};
  }
  if (answer.size() > kMaxAnswerBytes) answer = answer.substr(answer.size() - kMaxAnswerBytes);
  switch (item.kind) {
    case TaskKind::math:
      return grade_number(item, answer);
    case TaskKind::logic:
      return grade_option(item, answer);
    case TaskKind::code:
      return grade_code(item, answer);
  }
  return {Verdict::error, "", "unknown kind of task"};
}

}  // namespace touchstone
