// Graders: does this output answer this item, and how is that known?
#pragma once

#include <string>
#include <string_view>

#include "eval/suite.h"

namespace touchstone {

enum class Verdict {
  correct,
  wrong,
  unanswered,  // no answer was found: thinking never ended, a refusal, or nothing that can be read as one
  error,       // the grader itself failed (e.g. the sandbox could not start); says nothing about the answer
};

std::string_view verdict_name(Verdict verdict);

struct Grade {
  Verdict verdict = Verdict::unanswered;
  std::string extracted;   // what was taken as the answer: a number, a letter, a program; may be empty
  std::string why;         // in words
  bool timed_out = false;  // the answer's program ran past its time limit (the verdict is `wrong`)
  bool guessed = false;    // nothing is stated as the answer: it is the last number, an option's own text …
};

/// Grades what a model wrote. `thinking_opened`: the prompt already ended inside `<think>`, so that the
/// output begins with thinking. Only what stands outside the thinking counts. Code is executed in the sandbox
/// (eval/sandbox.h). Throws Error only when no answer could be graded (python3 missing). Safe to call from
/// several threads.
Grade grade(const Item& item, std::string_view output, bool thinking_opened = false);

}  // namespace touchstone
