#include "cli/usage_error.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <numeric>

namespace touchstone::cli {
namespace {

/// Letters to insert, leave out or replace until `a` is `b`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string unknown(std::string_view kind, const std::string& word, const std::vector<std::string>& names) {
  const std::string nearest = find_nearest(word, names);
  return fmt::format("there is no {} '{}'{}", kind, word,
                     nearest.empty() ? "" : " (did you mean " + nearest + "?)");
}

}  // namespace

std::string find_nearest(std::string_view word, const std::vector<std::string>& names) {
  constexpr std::size_t kFewestLetters = 4;  // of what is taken as the beginning of a name
  constexpr std::size_t kMostLetters = 64;   // no name is longer
  if (word.size() > kMostLetters) return {};
  std::string nearest;
  std::size_t least = word.size() / 3;
  for (const std::string& name : names) {
    const bool begins = std::min(word.size(), name.size()) >= kFewestLetters &&
                        (std::string_view(name).starts_with(word) || word.starts_with(name));
    const std::size_t distance = begins ? 1 : edit_distance(word, name);
    if (distance > least || (distance == least && !nearest.empty())) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

std::string describe_usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen.front();
  if (const std::vector<std::string> left = command.remaining(); !left.empty()) {
    const std::string& first = left.front();
    if (first.starts_with('-')) {
      return unknown("option", first.substr(0, first.find('=')), option_names(command));
    }
    if (chosen.empty()) return unknown("command", first, command_names(app));
    return "'" + first + "' is one argument too many";
  }
  if (const std::vector<std::string> before = app.remaining(); !before.empty()) {
    return fmt::format("'{}' stands before the command; put it behind '{}'", before.front(),
                       command.get_name());
  }
  for (const CLI::Option* option : command.get_options()) {
    const bool is_single = option->get_type_size_max() == 1 && option->get_expected_max() == 1;
    if (is_single && option->count() > 1) {
      return fmt::format("{} is given {} times and taken once", option->get_name(), option->count());
    }
  }
  const std::string what = error.what();
  const bool lacks_value = error.get_name() == "ArgumentMismatch" && what.ends_with(" missing");
  return lacks_value ? what.substr(0, what.find(':')) + " needs a value" : what;
}

}  // namespace touchstone::cli
