// What a wrong command line is told.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone::cli {

/// The one of `names` that `word` was probably meant to be: a few letters apart, or one is the beginning of
/// the other. Empty where none is near.
std::string find_nearest(std::string_view word, const std::vector<std::string>& names);

/// What is wrong, for a person: an unknown command or option with the name that was probably meant.
std::string describe_usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace touchstone::cli
