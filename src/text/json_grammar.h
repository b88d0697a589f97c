// The parts of JSON as parts of a grammar.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "text/grammar.h"

namespace touchstone {

/// Rules for JSON without a schema.
struct JsonRules {
  std::int32_t white_space;  // none, one space, or a line break with up to 20 spaces
  std::int32_t character;    // of a string, escaped or not
  std::int32_t string, number, integer, value, object, array;
};
JsonRules add_json_rules(Grammar& grammar);

/// Bytes from low to high but those in `without`.
template <typename Bytes>
void add_bytes_but(Grammar& g, std::uint32_t from, int low, int high, const Bytes& without,
                   std::uint32_t to) {
  int first = low;
  for (int byte = low; byte <= high + 1; ++byte) {
    if (byte <= high && !without(static_cast<std::uint8_t>(byte))) continue;
    if (first < byte) {
      g.add_bytes_to(from, static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(byte - 1), to);
    }
    first = byte + 1;
  }
}

/// Numbers from low to high; without these where open.
struct Interval {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;
};

/// Whole numbers of the interval, and with `fractions` others of it, between `from` and `to`; of at most 15
/// digits. Throws Error when there are none.
void add_interval(Grammar& grammar, std::uint32_t from, const Interval& interval, bool fractions,
                  std::uint32_t to);

/// A string of so many characters; max_length SIZE_MAX: without end.
void add_string(Grammar& grammar, const JsonRules& rules, std::uint32_t from, std::size_t min_length,
                std::size_t max_length, std::uint32_t to);

/// A string without escapes that is none of `names`.
void add_other_string(Grammar& grammar, std::uint32_t from, std::span<const std::string> names,
                      std::uint32_t to);

/// One of the texts.
void add_texts(Grammar& grammar, std::uint32_t from, std::span<const std::string> texts, std::uint32_t to);

}  // namespace touchstone
