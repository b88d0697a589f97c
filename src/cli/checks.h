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

/// What browsers send as Origin: SCHEME://HOST[:PORT] without a path, or null; or *, which stands for any.
CLI::Validator web_origin();

CLI::Validator not_empty();

/// Splits "a,b,,c" at its commas: empty items stay.
std::vector<std::string> split_list(const std::string& text);

/// What `check` says of the items of a list, as a,b,c. (CLI11's own delimiter skips empty ones.)
CLI::Validator each_item(const CLI::Validator& check);

/// An option that is given lists of numbers or names, as a,b,c, with each item checked.
template <typename Value>
CLI::Option* add_list_option(CLI::App& app, const std::string& name, std::vector<Value>& values,
                             const CLI::Validator& check, const std::string& description) {
  const auto store = [&values](const std::vector<std::string>& lists) {
    values.clear();
    for (const std::string& list : lists) {
      for (const std::string& item : split_list(list)) {
        Value& value = values.emplace_back();
        if constexpr (std::is_same_v<Value, std::string>) {
          value = item;
        } else {
          std::from_chars(item.data(), item.data() + item.size(), value);
        }
      }
    }
  };
  return app.add_option_function<std::vector<std::string>>(name, store, description)->check(each_item(check));
}

/// Of the sampling: any whole number of 64 bits.
CLI::Validator any_seed();

}  // namespace touchstone::cli
