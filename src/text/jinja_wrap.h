// Lines of bounded width, as Python's textwrap makes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_value.h"

namespace touchstone::jinja {

struct WrapOptions {
  std::size_t width = 79;
  bool break_long_words = true;
  bool break_on_hyphens = true;
};

std::vector<std::string> wrap_words(std::string_view text, const WrapOptions& options, Budget& budget);

}  // namespace touchstone::jinja
