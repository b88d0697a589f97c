// Runs a program as a user would and gives back what it printed.
#pragma once

#include <string>
#include <vector>

namespace touchstone::testing {

struct ProcessResult {
  int exit_status = -1;  // 128 + signal when it was killed, as a shell says it
  std::string out;
  std::string err;
};

/// Runs `arguments` (the program first) with `input` on standard input. `environment`: "NAME=VALUE" added to
/// ours.
ProcessResult run_process(const std::vector<std::string>& arguments, const std::string& input = {},
                          const std::vector<std::string>& environment = {});

}  // namespace touchstone::testing
