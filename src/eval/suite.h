// Task suites as plain data: what is asked, how it is put to a model, and what the right answer is.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

enum class TaskKind { math, code, logic };

std::string_view task_kind_name(TaskKind kind);

/// One question. Fields that its kind does not use are empty.
struct Item {
  TaskKind kind = TaskKind::math;
  std::string id;
  std::string language = "en";  // "en" or "zh": chooses the instruction
  int steps = 0;                // reasoning steps as the suite's author counts them; 0: not known

  std::string context;               // logic: the passage
  std::string question;              // math, logic
  std::string answer;                // math: the number as text
  std::vector<std::string> options;  // logic: 2 to 26
  std::size_t answer_index = 0;      // logic: position of the right option

  std::string prompt;              // code: what the model completes
  std::string entry_point;         // code: the function under test
  std::string test;                // code: Python text that defines check(candidate), or bare asserts
  std::string canonical_solution;  // code: may be empty; for tests of the suite itself
};

struct Suite {
  std::string name;
  TaskKind kind = TaskKind::math;
  std::string licence;
  std::string provenance;
  // Templates of the user's turn with {question}, {prompt}, {context}, {options}, {A} … {Z}; prompt_zh is for
  // items in Chinese and is empty where the suite has none.
  std::string prompt;
  std::string prompt_zh;
  std::string fingerprint;  // of the bytes that the suite was read from: FNV-1a, 64 bits, hexadecimal
  std::vector<Item> items;
};

/// `math`, `code`, `logic`, `demo-math`, `demo-code`, `demo-logic` are embedded; anything else is a path: a
/// .jsonl file in touchstone's own form (first line a header), in GSM8K's, HumanEval's or LogiQA's JSONL
/// form, or LogiQA's text form (eight lines an item, English or Chinese). Throws Error naming file, line and
/// what is wrong.
Suite load_suite(std::string_view name_or_path);

/// The same from bytes; `source` names them in errors, `name` becomes the suite's.
Suite parse_suite(std::string_view text, const std::string& source, const std::string& name);

/// Names of the embedded suites, in the order in which they are shown.
std::vector<std::string> embedded_suite_names();

/// One item from its JSON form (own, GSM8K's, HumanEval's or LogiQA's field names). Throws Error naming
/// `source`.
Item parse_item(TaskKind kind, const boost::json::object& object, const std::string& source);

/// What the user says to the model: the suite's template filled in, in one pass (braces inside an item are
/// left alone).
std::string user_turn(const Suite& suite, const Item& item);

}  // namespace touchstone
