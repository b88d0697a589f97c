// Starting, watching and ending sandboxed processes.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "eval/sandbox.h"

namespace touchstone {

/// A file descriptor with an owner; kept at 32 or above, so that the low numbers are free for a child's own.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd);
  ~Fd();
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  void reset();

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};
Pipe make_pipe();

/// A file in memory that holds `bytes`, to be read from its beginning.
Fd make_memory_file(std::span<const std::byte> bytes);

/// Removes itself with what it holds.
class WorkFolder {
 public:
  WorkFolder() = default;
  ~WorkFolder();
  WorkFolder(WorkFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  WorkFolder& operator=(WorkFolder&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  static WorkFolder make();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// What a child sees: `child` is the number under which it finds the parent's descriptor.
struct PassedFd {
  int parent = -1;
  int child = -1;
};

/// A sandboxed python3. Ended, with all that it started, when this goes out of scope.
class Process {
 public:
  /// Runs `program` (Python text) with `fds` as its descriptors (0, 1, 2 are /dev/null unless given; 7 and
  /// above are taken). Throws Error when it cannot start.
  Process(const std::string& program, const std::vector<PassedFd>& fds, const SandboxLimits& limits,
          SandboxKind kind);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Waits at most until `deadline`; false when it still runs.
  bool wait_until(Clock::time_point deadline);
  void kill();

  /// Valid after it ended: exit status, or 128 + the signal that ended it.
  int status() const { return status_; }

  /// Valid after it ended: throws Error when it did so before its program began, unless kill() was why.
  /// `stderr_text`: what it wrote, where the sandbox may have said why.
  void require_started(const std::string& stderr_text) const;

 private:
  pid_t pid_ = -1;
  bool ended_ = false;
  bool killed_ = false;
  int status_ = 0;
  Fd start_;  // a zero comes when the program begins, or else the number and the name of what failed
  WorkFolder folder_;
};

/// The last line of `text` that is not empty.
std::string last_line(const std::string& text);

/// The python3 that is used. Throws Error with a hint.
std::string find_python();

/// The kind to use for `wanted` (probing for the best when asked). Throws Error.
SandboxKind resolve_kind(SandboxKind wanted);

}  // namespace touchstone
