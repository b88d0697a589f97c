#include "eval/grade.h"

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/parse_json.h"
#include "cli/cli.h"
#include "eval/suite.h"

namespace touchstone::cli {
namespace {

// Names of the tasks' public data sets, and touchstone's own names for their kinds.
const std::map<std::string, TaskKind> kTasks = {{"gsm8k", TaskKind::math},   {"humaneval", TaskKind::code},
                                                {"logiqa", TaskKind::logic}, {"math", TaskKind::math},
                                                {"code", TaskKind::code},    {"logic", TaskKind::logic}};

struct GradeOptions {
  std::string task;
  bool thinking_opened = false;
  CommonOptions common;  // without effect: the output is JSON either way
};

boost::json::object grade_line(const std::string& line, const std::string& source,
                               const GradeOptions& options) {
  const boost::json::value value = parse_json(line, source);
  const auto* object = value.if_object();
  const boost::json::value* item = object != nullptr ? object->if_contains("item") : nullptr;
  const boost::json::value* output = object != nullptr ? object->if_contains("output") : nullptr;
  if (item == nullptr || !item->is_object() || output == nullptr || !output->is_string()) {
    throw Error(source + " is not {\"item\": {…}, \"output\": \"…\"}", "see touchstone grade --help");
  }
  const Item parsed = parse_item(kTasks.at(options.task), item->get_object(), source);
  const Grade graded = grade(parsed, output->get_string(), options.thinking_opened);
  return {{"grade", verdict_name(graded.verdict)}, {"extracted", graded.extracted}, {"why", graded.why}};
}

int run_grade(const GradeOptions& options) {
  for_each_stdin_line([&](const std::string& line, std::size_t number) {
    print_json(grade_line(line, "standard input, line " + std::to_string(number), options));
  });
  return kExitDone;
}

}  // namespace

void add_grade(CLI::App& app, Command& command) {
  auto options = std::make_shared<GradeOptions>();
  CLI::App* sub = app.add_subcommand("grade", "Outputs of a model on standard input -> grades");
  sub->add_option("--task", options->task, "What the items are: gsm8k, humaneval or logiqa")
      ->required()
      ->check(CLI::IsMember({"gsm8k", "humaneval", "logiqa", "math", "code", "logic"}));
  sub->add_flag("--thinking-opened", options->thinking_opened,
                "The prompts ended inside <think>, so that outputs begin with thinking");
  accept_common_options(*sub, options->common);
  sub->footer(
      "One {\"item\": {…}, \"output\": \"…\"} a line in, one {\"grade\", \"extracted\", \"why\"} a line "
      "out.\n"
      "Examples:\n"
      "  echo '{\"item\": {\"question\": \"2+2?\", \"answer\": \"4\"}, \"output\": \"It is \\\\boxed{4}.\"}' "
      "\\\n"
      "    | touchstone grade --task gsm8k\n"
      "  touchstone grade --task humaneval < outputs.jsonl > grades.jsonl");
  sub->callback([options, &command] { command = [options] { return run_grade(*options); }; });
}

}  // namespace touchstone::cli
