#pragma once

#include <sys/types.h>

#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "support/process.h"

namespace touchstone::testing {

/// Runs the built program with these arguments and `input` on standard input.
inline ProcessResult touchstone(std::vector<std::string> arguments, const std::string& input = {}) {
  arguments.insert(arguments.begin(), TOUCHSTONE_BINARY);
  return run_process(arguments, input);
}

/// Whether the process has a handler for Ctrl-C.
inline bool catches_interrupts(pid_t process) {
  std::ifstream lines("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("SigCgt:"))
      return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
  }
  return false;
}

}  // namespace touchstone::testing
