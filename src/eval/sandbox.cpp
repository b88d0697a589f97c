#include "eval/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "eval/sandbox_filter.h"
#include "eval/sandbox_process.h"
#include "eval/sandbox_programs.h"

namespace touchstone {
namespace {

constexpr std::size_t kStderrTail = 4096;  // bytes
constexpr int kSignalled = 128;            // Process::status() of signal 0

Clock::time_point after(Clock::time_point start, double seconds) {
  return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

/// One stream that is read while a process runs: its head or its tail is kept.
struct Stream {
  Fd fd;
  std::size_t keep = 0;
  bool tail = false;
  std::string text = {};
  bool open = true;

  void read_some() {
    char buffer[65536];
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
      open = false;
      return;
    }
    const auto size = static_cast<std::size_t>(got);
    if (tail) {
      text.append(buffer, size);
      if (text.size() > 2 * keep) text.erase(0, text.size() - keep);
    } else if (text.size() < keep) {
      text.append(buffer, std::min(size, keep - text.size()));
    }
  }
};

/// Reads all streams until they end or time is up; false when time is up.
bool drain(const std::vector<Stream*>& streams, Clock::time_point deadline) {
  while (true) {
    std::vector<pollfd> waits;
    std::vector<Stream*> open;
    for (Stream* stream : streams) {
      if (!stream->open) continue;
      waits.push_back({stream->fd.get(), POLLIN, 0});
      open.push_back(stream);
    }
    if (waits.empty()) return true;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    poll(waits.data(), waits.size(), static_cast<int>(std::min<long long>(left, 60'000)));
    for (std::size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].revents != 0) open[i]->read_some();
    }
  }
}

bool ended_by_cpu_limit(int status) { return status == kSignalled + SIGXCPU; }

/// `status` in words; empty for 0.
std::string describe_status(int status, const std::string& stderr_text) {
  if (status == 0) return "";
  if (ended_by_cpu_limit(status)) return "used up its processor time";
  if (status > kSignalled && status < kSignalled + 65) {
    return "ended by signal " + std::to_string(status - kSignalled);
  }
  const std::string line = last_line(stderr_text);
  return "ended with status " + std::to_string(status) + (line.empty() ? "" : ": " + line);
}

ProgramOutcome outcome_of(int status) {
  if (status == 0) return ProgramOutcome::passed;
  if (ended_by_cpu_limit(status)) return ProgramOutcome::timed_out;
  return status > kSignalled ? ProgramOutcome::crashed : ProgramOutcome::failed;
}

ProgramResult run_in(const std::string& program, const SandboxLimits& limits, SandboxKind kind) {
  const Clock::time_point start = Clock::now();
  const Clock::time_point deadline = after(start, limits.wall_seconds);
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  Process process(program, {{out.write.get(), 1}, {err.write.get(), 2}}, limits, kind);
  out.write.reset();
  err.write.reset();
  Stream output{std::move(out.read), limits.output_bytes};
  Stream errors{std::move(err.read), kStderrTail, true};
  const bool in_time = drain({&output, &errors}, deadline) && process.wait_until(deadline);
  ProgramResult result;
  if (!in_time) process.kill();
  process.wait_until(Clock::time_point::max());
  result.seconds = seconds_since(start);
  result.outcome = in_time ? outcome_of(process.status()) : ProgramOutcome::timed_out;
  result.detail = in_time ? describe_status(process.status(), errors.text) : "ran past its time limit";
  result.output = std::move(output.text);
  result.stderr_tail = std::move(errors.text);
  process.require_started(result.stderr_tail);
  return result;
}

bool works(SandboxKind kind) {
  try {
    return run_in("print(6 * 7)", {}, kind).output == "42\n";
  } catch (const Error&) {
    return false;
  }
}

SandboxKind probe() {
  find_python();
  const char* wish = std::getenv("TOUCHSTONE_SANDBOX");
  const std::string_view wanted = wish != nullptr ? wish : "";
  for (const auto& [name, kind] :
       {std::pair{"bubblewrap", SandboxKind::bubblewrap}, std::pair{"landlock", SandboxKind::landlock},
        std::pair{"seccomp", SandboxKind::seccomp}}) {
    if (!wanted.empty() && wanted != name) continue;
    if (kind == SandboxKind::landlock && landlock_version() == 0) continue;
    if (works(kind)) return kind;
  }
  if (!wanted.empty()) {
    throw Error("the sandbox TOUCHSTONE_SANDBOX=" + std::string(wanted) + " does not work here",
                "unset the variable, or use bubblewrap, landlock or seccomp");
  }
  throw Error("no sandbox works on this machine, and code that a model wrote is not run without one",
              "install bubblewrap, or leave the suite 'code' out");
}

std::string to_job(const CheckedProgram& program, bool judge) {
  boost::json::object job = {{"entry_point", program.entry_point}};
  if (judge) {
    job["preamble"] = program.judge_preamble;
    job["test"] = program.test;
  } else {
    job["preamble"] = program.preamble;
    job["helpers"] = boost::json::array(program.helpers.begin(), program.helpers.end());
    job["attempts"] = boost::json::array(program.attempts.begin(), program.attempts.end());
  }
  return boost::json::serialize(job);
}

/// Reads the judge's report; false when time is up. `errors` is emptied meanwhile, and may stay open for
/// ever.
bool await_report(Stream& report, Stream& errors, Clock::time_point deadline) {
  while (report.open) {
    std::vector<pollfd> waits = {{report.fd.get(), POLLIN, 0}};
    if (errors.open) waits.push_back({errors.fd.get(), POLLIN, 0});
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    poll(waits.data(), waits.size(), static_cast<int>(std::min<long long>(left, 60'000)));
    if (waits[0].revents != 0) report.read_some();
    if (waits.size() > 1 && waits[1].revents != 0) errors.read_some();
  }
  return true;
}

/// What to say of a code process that ended before its test had.
void explain_early_end(int status, ProgramResult& result) {
  result.outcome = ended_by_cpu_limit(status) ? ProgramOutcome::timed_out : ProgramOutcome::crashed;
  result.detail =
      ended_by_cpu_limit(status) ? "used up its processor time" : "exits before the checks have finished";
  if (status != 0 && !ended_by_cpu_limit(status)) {
    result.detail += " (" + describe_status(status, "") + ")";
  }
}

}  // namespace

std::string_view program_outcome_name(ProgramOutcome outcome) {
  switch (outcome) {
    case ProgramOutcome::passed:
      return "passed";
    case ProgramOutcome::failed:
      return "failed";
    case ProgramOutcome::timed_out:
      return "timed out";
    case ProgramOutcome::crashed:
      return "crashed";
  }
  return "";
}

SandboxKind resolve_kind(SandboxKind wanted) {
  if (wanted != SandboxKind::best) return wanted;
  static const SandboxKind best = probe();
  return best;
}

std::string sandbox_kind() {
  switch (resolve_kind(SandboxKind::best)) {
    case SandboxKind::bubblewrap:
      return "bubblewrap";
    case SandboxKind::landlock:
      return "seccomp+landlock";
    default:
      return "seccomp";
  }
}

std::string sandbox_description() {
  const std::string common = "no sockets, no further processes, limits on time, memory and output";
  switch (resolve_kind(SandboxKind::best)) {
    case SandboxKind::bubblewrap:
      return "namespaces of its own: sees the system's programs and an empty folder in memory; " + common;
    case SandboxKind::landlock:
      return "same view of the files as the user (read only, save for its own folder); " + common;
    default:
      return "same view of the files as the user, nothing can be opened for writing; " + common;
  }
}

void require_python() { find_python(); }

ProgramResult run_python(const std::string& program, const SandboxLimits& limits) {
  return run_in(program, limits, resolve_kind(limits.kind));
}

ProgramResult run_checked(const CheckedProgram& program, const SandboxLimits& limits) {
  const SandboxKind kind = resolve_kind(limits.kind);
  const Clock::time_point start = Clock::now();
  const Clock::time_point deadline = after(start, limits.wall_seconds);
  Pipe to_code = make_pipe();
  Pipe from_code = make_pipe();
  Pipe report = make_pipe();
  Pipe err = make_pipe();
  const std::string code_job = to_job(program, false);
  const std::string judge_job = to_job(program, true);
  const Fd code_file = make_memory_file(std::as_bytes(std::span(code_job)));
  const Fd judge_file = make_memory_file(std::as_bytes(std::span(judge_job)));
  Process code(
      candidate_program(),
      {{err.write.get(), 2}, {to_code.read.get(), 3}, {from_code.write.get(), 4}, {code_file.get(), 5}},
      limits, kind);
  Process judge(
      judge_program(),
      {{from_code.read.get(), 3}, {to_code.write.get(), 4}, {judge_file.get(), 5}, {report.write.get(), 6}},
      limits, kind);
  for (Fd* end :
       {&to_code.read, &to_code.write, &from_code.read, &from_code.write, &report.write, &err.write}) {
    end->reset();
  }
  Stream verdict{std::move(report.read), kStderrTail};
  Stream errors{std::move(err.read), kStderrTail, true};

  ProgramResult result;
  const bool in_time = await_report(verdict, errors, deadline);
  const bool gone = verdict.text == "FGONE";
  const bool no_result = in_time && verdict.text.empty();
  // One whose end of the pipes is closed is about to end, with a status that says why; others are ended.
  const Clock::time_point soon = std::min(deadline, Clock::now() + std::chrono::seconds(2));
  if (!code.wait_until(gone ? soon : Clock::now())) code.kill();
  if (!judge.wait_until(no_result ? soon : Clock::now())) judge.kill();
  code.wait_until(Clock::time_point::max());
  judge.wait_until(Clock::time_point::max());
  result.seconds = seconds_since(start);
  result.stderr_tail = errors.text;
  code.require_started(errors.text);
  judge.require_started("");
  if (!in_time) {
    result.outcome = ProgramOutcome::timed_out;
    result.detail = "ran past its time limit";
  } else if (gone) {
    explain_early_end(code.status(), result);
  } else if (verdict.text.starts_with('P')) {
    result.outcome = ProgramOutcome::passed;
    result.detail = verdict.text.substr(1);
  } else {
    result.outcome = ProgramOutcome::failed;
    result.detail = verdict.text.empty() ? "the test ended without a result" : verdict.text.substr(1);
  }
  return result;
}

}  // namespace touchstone
