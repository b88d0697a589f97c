// Runs Python that nobody has read: bounded in time, memory, processes and output, without network, and
// without writing outside a folder that is removed afterwards.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

struct SandboxLimits {
  double wall_seconds = 10;
  int cpu_seconds = 10;                             // each process
  std::size_t memory_bytes = std::size_t{1} << 30;  // address space of each process
  int processes = 64;                               // at once (bubblewrap, or as an ordinary user)
  std::size_t output_bytes = std::size_t{1} << 20;  // kept of what is printed; the rest is read and dropped
  std::size_t file_bytes = std::size_t{16} << 20;   // of each file written
};

enum class ProgramOutcome {
  passed,     // ran to its end with status 0 (run_python), or every check held (run_checked)
  failed,     // status other than 0, or a check did not hold
  timed_out,  // stopped at the wall or CPU limit
  crashed,    // ended by a signal, or before the checks had finished
};

std::string_view program_outcome_name(ProgramOutcome outcome);

struct ProgramResult {
  ProgramOutcome outcome = ProgramOutcome::failed;
  std::string detail;       // one line: why it did not pass
  std::string output;       // head of standard output, at most output_bytes
  std::string stderr_tail;  // last few kilobytes
  double seconds = 0;
};

/// What holds the programs on this machine, found out once by trying: "bubblewrap" (own namespaces, and the
/// seccomp filter and limits too) or "seccomp+landlock", "seccomp".
std::string sandbox_kind();

/// One sentence for reports: what this kind keeps out, and what it does not.
std::string sandbox_description();

/// Throws Error with a hint when there is no python3.
void require_python();

/// Runs `program` as a file of its own in an empty folder; standard input is empty. Safe to call from several
/// threads.
ProgramResult run_python(const std::string& program, const SandboxLimits& limits = {});

/// Code under test, and what tests it.
struct CheckedProgram {
  std::string preamble;  // what stands before the function in its prompt: imports, helpers; may not parse
  std::vector<std::string>
      helpers;  // other blocks of the answer: only their imports and definitions are used
  std::vector<std::string> attempts;  // ways to read the answer, best first; the first that compiles and
                                      // mentions entry_point at top level is run
  std::string entry_point;
  std::string
      judge_preamble;  // run beside the test (the prompt: its helpers may be used there); may not parse
  std::string test;    // defines check(candidate), or asserts
};

/// Runs the code and the test in two sandboxes that exchange nothing but calls and plain values, so that code
/// which exits, patches builtins, looks for the test or returns objects that equal everything can only fail.
ProgramResult run_checked(const CheckedProgram& program, const SandboxLimits& limits = {});

}  // namespace touchstone
