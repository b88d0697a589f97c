#include "eval/sandbox_process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill() is POSIX
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "base/descriptor.h"
#include "base/error.h"
#include "eval/sandbox_filter.h"

namespace touchstone {
namespace {

constexpr int kFirstOwnFd = 32;  // above all numbers that a child is given
constexpr int kProgramFd = 7;    // where the child finds its Python text
constexpr int kFilterFd = 8;     // where bubblewrap finds the filter
constexpr int kStartFd = 9;      // where the child tells that its program begins, or why it does not
constexpr int kExitCannotStart = 126;
constexpr int kMaxOpenFiles = 64;
constexpr uid_t kNobody = 65534;  // who runs the programs when touchstone is run by root

[[noreturn]] void fail(const std::string& what) { throw Error(what + ": " + std::strerror(errno)); }

/// All that a child needs, made before the fork: afterwards only async-signal-safe calls are allowed.
struct Launch {
  std::vector<std::string> arguments;
  std::vector<char*> argv;
  std::vector<PassedFd> fds;
  std::vector<sock_filter> filter;  // empty: bubblewrap applies it
  std::string folder;               // to run in; empty: as it is
  int start = -1;                   // the child finds it as kStartFd
  int landlock = -1;
  bool drop_root = false;
};

/// Tells the parent what failed. A program cannot be taken for this, whatever its status: it finds the
/// descriptor closed.
[[noreturn]] void give_up(const char* what) {
  auto reason = static_cast<unsigned char>(errno);
  const iovec parts[] = {{&reason, 1}, {const_cast<char*>(what), std::strlen(what)}};
  [[maybe_unused]] const ssize_t told = writev(kStartFd, parts, 2);
  _exit(kExitCannotStart);
}

void limit(int what, rlim_t soft, rlim_t hard) {
  const rlimit value{soft, hard};
  setrlimit(static_cast<__rlimit_resource>(what), &value);
}

void set_limits(const SandboxLimits& limits) {
  limit(RLIMIT_AS, limits.memory_bytes, limits.memory_bytes);
  const auto cpu = static_cast<rlim_t>(limits.cpu_seconds);
  limit(RLIMIT_CPU, cpu, cpu + 1);
  limit(RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes);
  limit(RLIMIT_CORE, 0, 0);
  limit(RLIMIT_NOFILE, kMaxOpenFiles, kMaxOpenFiles);
}

/// Leaves open what the child is given, kStartFd and `landlock` (at kFilterFd, or -1), and nothing else: what
/// this program has open (models, sockets), or was itself started with, is none of the child's business.
void place_fds(const Launch& launch, int landlock) {
  std::array<bool, kStartFd + 1> given{};
  for (const PassedFd& fd : launch.fds) {
    if (dup2(fd.parent, fd.child) < 0) give_up("dup2");
    given[static_cast<std::size_t>(fd.child)] = true;
  }
  given[kStartFd] = true;
  if (landlock >= 0) given[static_cast<std::size_t>(landlock)] = true;
  for (int fd = 0; fd <= kStartFd; ++fd) {
    if (!given[static_cast<std::size_t>(fd)]) close(fd);
  }
  if (syscall(SYS_close_range, kStartFd + 1, ~0U, 0) != 0) {
    for (int fd = kStartFd + 1; fd < 65536; ++fd) close(fd);
  }
}

/// Drops root for good; where a container maps no other user, Landlock and the filter must do.
void become_nobody() {
  if (setgroups(0, nullptr) != 0) return;
  if (setresgid(kNobody, kNobody, kNobody) == 0 && setresuid(kNobody, kNobody, kNobody) != 0)
    give_up("setresuid");
}

bool enter_filter(Launch& launch) {
  const auto pid = static_cast<unsigned>(getpid());
  for (sock_filter& instruction : launch.filter) {
    if (BPF_CLASS(instruction.code) == BPF_JMP && instruction.k == kOwnPid) instruction.k = pid;
  }
  const sock_fprog program{static_cast<unsigned short>(launch.filter.size()), launch.filter.data()};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// The child's side; never returns.
[[noreturn]] void become_program(Launch& launch, const SandboxLimits& limits, char** environment) {
  setsid();  // one group to end them all
  for (int signal = 1; signal < 32; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(launch.start, kStartFd) < 0) _exit(kExitCannotStart);
  const int landlock = launch.landlock >= 0 ? dup2(launch.landlock, kFilterFd) : -1;
  place_fds(launch, landlock);
  if (!launch.folder.empty() && chdir(launch.folder.c_str()) != 0) give_up("chdir");
  set_limits(limits);
  if (launch.drop_root) become_nobody();
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // after the change of user, which clears it
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up("PR_SET_NO_NEW_PRIVS");
  if (landlock >= 0) {
    if (!enter_landlock(landlock)) give_up("Landlock");
    close(landlock);
  }
  if (!launch.filter.empty() && !enter_filter(launch)) give_up("seccomp");
  execve(launch.argv[0], launch.argv.data(), environment);
  give_up(launch.argv[0]);
}

/// -S and a clean environment: only the standard library, whatever is installed; -B: nothing is written.
std::vector<std::string> python_command() {
  const std::string bootstrap =
      "import sys,os\nsys.path[:]=[p for p in sys.path if p]\nf=os.fdopen(" + std::to_string(kProgramFd) +
      ",'rb')\ns=f.read().decode('utf-8','surrogatepass')\nf.close()\nf=os.fdopen(" +
      std::to_string(kStartFd) +
      ",'wb')\nf.write(b'\\0')\nf.close()\nexec(compile(s,'program','exec'),"
      "{'__name__':'__main__'})";
  return {find_python(), "-s", "-S", "-B", "-c", bootstrap};
}

std::string find_bubblewrap() {
  for (const char* path : {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"}) {
    if (access(path, X_OK) == 0) return path;
  }
  return "";
}

std::vector<std::string> bubblewrap_command(const SandboxLimits& limits) {
  const std::string python = find_python();
  std::vector<std::string> command = {find_bubblewrap(), "--unshare-all", "--die-with-parent", "--cap-drop",
                                      "ALL"};
  const auto add = [&](std::initializer_list<std::string> words) { command.insert(command.end(), words); };
  if (python.starts_with("/usr/")) {
    add({"--ro-bind", "/usr", "/usr"});
    for (const char* path : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives",
                             "/etc/ld.so.cache", "/etc/localtime"}) {
      add({"--ro-bind-try", path, path});
    }
  } else {
    add({"--ro-bind", "/", "/"});  // a Python of the user's own may lie anywhere
  }
  // /proc and a whole /dev cannot be mounted in every container, and Python needs neither.
  for (const char* path : {"/dev/null", "/dev/urandom", "/dev/zero"}) add({"--dev-bind", path, path});
  add({"--size", std::to_string(limits.file_bytes), "--tmpfs", "/tmp", "--remount-ro", "/", "--chdir",
       "/tmp"});
  add({"--seccomp", std::to_string(kFilterFd), "--"});
  return command;
}

/// Points argv at the arguments, whose storage must not move afterwards.
void finish_arguments(Launch& launch) {
  for (std::string& argument : launch.arguments) launch.argv.push_back(argument.data());
  launch.argv.push_back(nullptr);
}

}  // namespace

Fd::Fd(int fd) : fd_(fd) {
  if (fd < 0 || fd >= kFirstOwnFd) return;
  fd_ = fcntl(fd, F_DUPFD_CLOEXEC, kFirstOwnFd);
  close(fd);
  if (fd_ < 0) fail("cannot duplicate a file descriptor");
}

Fd::~Fd() { reset(); }

void Fd::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fail("cannot make a pipe");
  Pipe made;
  made.read = Fd(ends[0]);
  made.write = Fd(ends[1]);
  return made;
}

Fd make_memory_file(std::span<const std::byte> bytes) {
  Fd file(memfd_create("touchstone", MFD_CLOEXEC));
  if (file.get() < 0) fail("cannot make a file in memory");
  if (!write_all(file.get(), bytes)) fail("cannot write a file in memory");
  lseek(file.get(), 0, SEEK_SET);
  return file;
}

WorkFolder WorkFolder::make() {
  std::string path = (std::filesystem::temp_directory_path() / "touchstone-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) fail("cannot make a folder under " + path);
  WorkFolder folder;
  folder.path_ = path;
  // Where this fails (a container that maps no other user) the programs cannot become nobody either.
  if (geteuid() == 0 && chown(path.c_str(), kNobody, kNobody) != 0) errno = 0;
  return folder;
}

WorkFolder::~WorkFolder() {
  std::error_code
      ignored;  // what a program left there may not be removable; nothing can be done about it here
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of(" \n\r\t");
  if (end == text.npos) return "";
  const std::size_t begin = text.rfind('\n', end) + 1;
  return text.substr(begin, end - begin + 1);
}

std::string find_python() {
  static const std::string found = [] {
    for (const char* path : {"/usr/bin/python3", "/usr/local/bin/python3"}) {
      if (access(path, X_OK) == 0) return std::string(path);
    }
    const char* variable = std::getenv("PATH");
    std::string_view path = variable != nullptr ? variable : "";
    while (!path.empty()) {
      const std::size_t colon = path.find(':');
      std::string candidate = std::string(path.substr(0, colon)) + "/python3";
      if (candidate[0] == '/' && access(candidate.c_str(), X_OK) == 0) return candidate;
      path.remove_prefix(colon == path.npos ? path.size() : colon + 1);
    }
    return std::string();
  }();
  if (found.empty()) {
    throw Error("no python3 was found, and answers in code are graded by running them",
                "install it (apt-get install python3), or leave the suite 'code' out");
  }
  return found;
}

Process::Process(const std::string& program, const std::vector<PassedFd>& fds, const SandboxLimits& limits,
                 SandboxKind kind) {
  const bool wrapped = kind == SandboxKind::bubblewrap;
  const std::vector<sock_filter> filter =
      make_filter({.deny_writes = kind == SandboxKind::seccomp, .only_own_signals = !wrapped});
  Launch launch;
  if (wrapped) launch.arguments = bubblewrap_command(limits);
  for (std::string& word : python_command()) launch.arguments.push_back(std::move(word));
  finish_arguments(launch);

  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const Fd text = make_memory_file(std::as_bytes(std::span(program)));
  Fd filter_file;
  Fd landlock;
  launch.fds = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}};
  launch.fds.insert(launch.fds.end(), fds.begin(), fds.end());
  launch.fds.push_back({text.get(), kProgramFd});
  Pipe start = make_pipe();
  fcntl(start.read.get(), F_SETFL, O_NONBLOCK);
  start_ = std::move(start.read);
  launch.start = start.write.get();
  if (wrapped) {
    filter_file = make_memory_file(std::as_bytes(std::span(filter)));
    launch.fds.push_back({filter_file.get(), kFilterFd});
  } else {
    launch.filter = filter;
    launch.drop_root = geteuid() == 0;
    folder_ = WorkFolder::make();
    launch.folder = folder_.path();
    if (kind == SandboxKind::landlock) landlock = Fd(make_landlock_rules(launch.folder));
    launch.landlock = landlock.get();
  }
  // Hashes of strings are the same in every run, so that the order of sets, and with it a grade, is too.
  std::string environment[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONHASHSEED=0", "HOME=/tmp",
                               "TMPDIR=."};
  std::array<char*, std::size(environment) + 1> environ_pointers{};
  for (std::size_t i = 0; i < std::size(environment); ++i) environ_pointers[i] = environment[i].data();

  pid_ = fork();
  if (pid_ < 0) fail("cannot start a process");
  if (pid_ == 0) become_program(launch, limits, environ_pointers.data());
}

Process::~Process() {
  kill();
  wait_until(Clock::time_point::max());
}

void Process::kill() {
  if (ended_) return;
  killed_ = true;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);  // before it has its own group
}

void Process::require_started(const std::string& stderr_text) const {
  char report[256];
  const ssize_t size = ::read(start_.get(), report, sizeof report);
  if (size > 0 && report[0] == 0) return;
  if (killed_ && status_ == 128 + SIGKILL) return;  // before it could begin
  std::string why = last_line(stderr_text);
  if (size > 0) {
    why = std::string(report + 1, static_cast<std::size_t>(size) - 1) + ": " +
          std::strerror(static_cast<unsigned char>(report[0]));
  } else if (why.empty()) {
    why = "it ended with status " + std::to_string(status_);
  }
  throw Error("the sandbox cannot start python3: " + why,
              "see that python3 runs, or choose another sandbox with TOUCHSTONE_SANDBOX=landlock or seccomp");
}

bool Process::wait_until(Clock::time_point deadline) {
  const bool forever = deadline == Clock::time_point::max();
  while (!ended_) {
    int raw = 0;
    const pid_t got = waitpid(pid_, &raw, forever ? 0 : WNOHANG);
    if (got == pid_) {
      status_ = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
      ended_ = true;
    } else if (got < 0 && errno != EINTR) {
      ended_ = true;  // reaped by somebody else: its status is lost
      status_ = 128;
    } else if (got == 0) {
      if (Clock::now() >= deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  return true;
}

}  // namespace touchstone
