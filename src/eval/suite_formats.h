// The forms in which suites are written: touchstone's JSONL, the originals of GSM8K, HumanEval and LogiQA.
#pragma once

#include <string>
#include <string_view>

#include "eval/suite.h"

namespace touchstone {

/// Fills `suite` (items, and kind, prompt, licence … from a header line or, without one, from the fields of
/// the first item). Throws Error naming source and line.
void read_jsonl_suite(std::string_view text, const std::string& source, Suite& suite);

/// LogiQA's own form: an item is an empty line, the right letter (a-d), context, question, four options.
void read_logiqa_text(std::string_view text, const std::string& source, Suite& suite);

}  // namespace touchstone
