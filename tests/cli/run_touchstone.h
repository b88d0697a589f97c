#pragma once

#include <string>
#include <vector>

#include "support/process.h"

namespace touchstone::testing {

/// Runs the built program with these arguments and `input` on standard input.
inline ProcessResult touchstone(std::vector<std::string> arguments, const std::string& input = {}) {
  arguments.insert(arguments.begin(), TOUCHSTONE_BINARY);
  return run_process(arguments, input);
}

}  // namespace touchstone::testing
