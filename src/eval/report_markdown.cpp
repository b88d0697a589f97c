// report.md, and the summary for a terminal.
#include <fmt/core.h>

#include <algorithm>

#include "eval/report_words.h"

namespace touchstone {
namespace {

/// Text as it is, on one line: nothing in it can end a table cell, make a link or begin HTML.
std::string escape_markdown(std::string_view text) {
  std::string escaped;
  char before = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      escaped += "⏎";
    } else {
      const bool special = std::string_view("\\`*_<|~&").find(c) != std::string_view::npos;
      if (special || (c == '(' && before == ']')) escaped += '\\';
      escaped += c;
    }
    before = c;
  }
  return escaped;
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string row = "|";
  for (const std::string& cell : cells) row += " " + escape_markdown(cell) + " |";
  return row + "\n";
}

std::string markdown_table(const Table& table) {
  std::string text = markdown_row(table.header) + "|";
  for (std::size_t i = 0; i < table.header.size(); ++i) text += " --- |";
  text += "\n";
  for (const auto& row : table.rows) text += markdown_row(row);
  return text + "\n";
}

std::string markdown_list(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "- " + escape_markdown(line) + "\n";
  return text + "\n";
}

/// Columns on a terminal: one for each code point, which is right for all that a report's own words hold.
std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Control characters of a model's name or template must not reach a terminal.
std::string printable(std::string_view text) {
  std::string clean;
  for (const char c : text) clean += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return clean;
}

std::string text_table(const Table& table) {
  std::vector<std::size_t> widths(table.header.size(), 0);
  std::vector<std::vector<std::string>> rows{table.header};
  rows.insert(rows.end(), table.rows.begin(), table.rows.end());
  for (auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = printable(row[i]);
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - display_width(row[i]) + 2, ' ');
    }
    text += line + "\n";
  }
  return text;
}

}  // namespace

std::string report_to_markdown(const Report& report) {
  std::string text = fmt::format("# {}\n\n{}, touchstone {}, {}\n\n", escape_markdown(report_title(report)),
                                 escape_markdown(report.created), escape_markdown(report.version),
                                 escape_markdown(report.machine));
  text += markdown_table(make_summary_table(report));
  text += fmt::format("Brackets hold 95 % intervals; see *How it was measured*. {}\n\n## Verdicts\n\n",
                      escape_markdown(difference_legend(report)));
  text += markdown_list(make_verdict_lines(report));
  if (!report.scenarios.empty()) text += "## Which to choose\n\n";
  for (const ScenarioResult& scenario : report.scenarios) {
    text += fmt::format("**{}**: {}\n\n{}", escape_markdown(scenario.title),
                        escape_markdown(scenario.recommendation), markdown_list(scenario.lines));
  }
  text += "## What became of the answers\n\n" + markdown_table(make_outcome_table(report));
  if (!report.notes.empty()) text += "## Notes\n\n" + markdown_list(report.notes);
  if (const auto flipped = make_flipped_lines(report, report.items.size()); !flipped.empty()) {
    text += "## Items that came out differently\n\n" + markdown_list(flipped);
  }
  text += "## Settings\n\n" + markdown_table(make_settings_table(report));
  for (const SuiteInfo& suite : report.suites) {
    text += fmt::format("- suite {} ({}), fingerprint {}: {} {}\n", escape_markdown(suite.name), suite.kind,
                        escape_markdown(suite.fingerprint), escape_markdown(suite.provenance),
                        escape_markdown(suite.licence));
  }
  if (!report.sandbox.empty()) text += fmt::format("- sandbox: {}\n", escape_markdown(report.sandbox));
  text += "\n## How it was measured\n\n" + markdown_list(make_method_lines(report));
  return text;
}

std::string report_to_text(const Report& report) {
  std::string text = "\n" + text_table(make_summary_table(report));
  text += printable("Brackets hold 95 % intervals. " + difference_legend(report)) + "\n\n";
  for (const std::string& line : make_verdict_lines(report)) text += printable(line) + "\n";
  text += "\n" + text_table(make_outcome_table(report));
  constexpr std::size_t kMostItems = 8;  // report.md and report.html name all
  if (const auto flipped = make_flipped_lines(report, kMostItems); !flipped.empty()) {
    text += "\nItems that came out differently:\n";
    for (const std::string& line : flipped) text += printable("  " + line) + "\n";
  }
  if (!report.scenarios.empty()) text += "\n";
  for (const ScenarioResult& scenario : report.scenarios) {
    text += printable(fmt::format("{}: {}", scenario.title, scenario.recommendation)) + "\n";
  }
  if (!report.notes.empty()) text += "\n";
  for (const std::string& note : report.notes) text += "Note: " + printable(note) + "\n";
  return text;
}

}  // namespace touchstone
