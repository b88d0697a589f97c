// Computations that an answer states instead of their result.
#pragma once

#include <boost/multiprecision/cpp_int.hpp>
#include <optional>
#include <string_view>

namespace touchstone {

/// The exact value of `text` (normalised) where it is nothing but a computation: numbers, + - * /, brackets,
/// \frac{}{}, roots. Nothing where it is something else, or no rational number (\sqrt{2}).
std::optional<boost::multiprecision::cpp_rational> read_expression(std::string_view text);

/// Whether a root or pi stands in `text`, so that its digits are not its value.
bool has_root(std::string_view text);

}  // namespace touchstone
