// The two Python programs of run_checked.
#pragma once

#include <string>

namespace touchstone {

/// Loads the code under test (JSON on descriptor 5) and serves calls on descriptors 3 (in) and 4 (out).
std::string candidate_program();

/// Runs the test (JSON on descriptor 5) against calls on descriptors 3 and 4, and writes its report to 6: "P"
/// or "F" and a line in words.
std::string judge_program();

}  // namespace touchstone
