// Checks of what stands on the command line; options carry them, CLI11 runs them.
//
// What the command line alone shows to be wrong is wrong usage, exit 2: a word that is none of those known, a
// number out of its range, options that exclude each other. What a look at a file, a model or this machine
// shows is work that failed, exit 1: an Error.
#pragma once

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <charconv>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

namespace touchstone::cli {

/// A number from `least` to `most`, both included. (CLI::Range lets NaN pass, and numbers that overflow.)
template <typename Number>
CLI::Validator number_from(Number least, Number most) {
  const auto check = [least, most](const std::string& text) -> std::string {
    Number value{};
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && rest == end && value >= least && value <= most) return "";
    return fmt::format("'{}' is not a {}number from {} to {}", text,
                       std::is_integral_v<Number> ? "whole " : "", least, most);
  };
  return CLI::Validator(check, fmt::format("{} to {}", least, most));
}

/// auto, cpu, cuda, or cuda:N.
CLI::Validator device_name();

/// One of `names`, or the path of a file: what has a '.' or a '/'.
CLI::Validator name_or_path(const std::vector<std::string>& names);

CLI::Validator not_empty();

/// Of the sampling: any whole number of 64 bits.
CLI::Validator any_seed();

}  // namespace touchstone::cli
