// Runs Python that nobody has read: bounded in time, memory, processes and output, without network, and
// without writing outside a folder of its own that is gone afterwards.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

/// What holds a program. All kinds set limits and a seccomp filter: no sockets, no further processes (threads
/// may be started), no tracing, no signals to others.
enum class SandboxKind {
  best,        // the first of the following that works on this machine
  bubblewrap,  // own namespaces: sees /usr and an empty folder in memory; nothing else of this machine
  landlock,    // may read what the user may read; the kernel's Landlock allows writes in its own folder alone
  seccomp,     // the same without Landlock: nothing at all can be opened for writing
};

struct SandboxLimits {
  double wall_seconds = 20;                         // generous: a busy machine must not change a grade
  int cpu_seconds = 4;                              // this is what ends an endless loop
  std::size_t memory_bytes = std::size_t{1} << 30;  // address space
  std::size_t output_bytes = std::size_t{1} << 20;  // kept of what is printed; the rest is read and dropped
  std::size_t file_bytes = std::size_t{16} << 20;   // of each file written
  SandboxKind kind = SandboxKind::best;
};

enum class ProgramOutcome {
  passed,     // ran to its end with status 0 (run_python), or every check held (run_checked)
  failed,     // another status, or a check did not hold
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

/// The kind that this machine uses, found out once by trying: "bubblewrap", "seccomp+landlock" or "seccomp".
/// The environment variable TOUCHSTONE_SANDBOX (bubblewrap, landlock, seccomp) overrides it. Throws Error
/// when there is no python3 or nothing works.
std::string sandbox_kind();

/// One sentence for reports: what this kind keeps out, and what it does not.
std::string sandbox_description();

/// Throws Error with a hint when there is no python3.
void require_python();

/// Runs `program` in an empty folder; standard input is empty, modules are those of the standard library.
/// Safe to call from several threads. Throws Error when the sandbox itself cannot start.
ProgramResult run_python(const std::string& program, const SandboxLimits& limits = {});

/// Code under test, and what tests it.
struct CheckedProgram {
  std::string preamble;  // what precedes the function in its prompt: imports, helpers; may not parse
  std::vector<std::string>
      helpers;  // other blocks of the answer: only their imports and definitions are used
  // Readings of the answer, best first; the first that parses and defines entry_point is run. What fails
  // behind the function (the answer's own examples) does not count against it.
  std::vector<std::string> attempts;
  std::string entry_point;
  std::string judge_preamble;  // run beside the test, which may use its helpers (the prompt); may not parse
  std::string test;            // defines check(candidate), or asserts
};

/// Runs the code and its test in two sandboxes that exchange calls and plain values and nothing else. Code
/// that exits, patches builtins, looks for the test or returns objects that equal everything can only fail.
/// Throws as run_python does.
ProgramResult run_checked(const CheckedProgram& program, const SandboxLimits& limits = {});

}  // namespace touchstone
