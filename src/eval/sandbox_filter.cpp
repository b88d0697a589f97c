#include "eval/sandbox_filter.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>

#include "base/error.h"

namespace touchstone {
namespace {

// Ways to the network, to other processes, to more privilege, or around the filter itself.
constexpr std::initializer_list<const char*> kForbidden = {"socket",
                                                           "connect",
                                                           "bind",
                                                           "listen",
                                                           "accept",
                                                           "accept4",
                                                           "io_uring_setup",
                                                           "io_uring_enter",
                                                           "io_uring_register",
                                                           "fork",
                                                           "vfork",
                                                           "ptrace",
                                                           "process_vm_readv",
                                                           "process_vm_writev",
                                                           "process_madvise",
                                                           "kcmp",
                                                           "pidfd_open",
                                                           "pidfd_getfd",
                                                           "pidfd_send_signal",
                                                           "bpf",
                                                           "perf_event_open",
                                                           "keyctl",
                                                           "add_key",
                                                           "request_key",
                                                           "mount",
                                                           "umount2",
                                                           "pivot_root",
                                                           "chroot",
                                                           "unshare",
                                                           "setns",
                                                           "move_mount",
                                                           "open_tree",
                                                           "fsopen",
                                                           "fsconfig",
                                                           "fsmount",
                                                           "fspick",
                                                           "mount_setattr",
                                                           "init_module",
                                                           "finit_module",
                                                           "delete_module",
                                                           "kexec_load",
                                                           "kexec_file_load",
                                                           "reboot",
                                                           "swapon",
                                                           "swapoff",
                                                           "sethostname",
                                                           "setdomainname",
                                                           "settimeofday",
                                                           "clock_settime",
                                                           "clock_adjtime",
                                                           "adjtimex",
                                                           "personality",
                                                           "quotactl",
                                                           "name_to_handle_at",
                                                           "open_by_handle_at",
                                                           "userfaultfd",
                                                           "syslog",
                                                           "acct",
                                                           "iopl",
                                                           "ioperm",
                                                           "memfd_create",
                                                           "memfd_secret",
                                                           "setpriority",
                                                           "sched_setscheduler",
                                                           "setsid",
                                                           "setpgid",
                                                           "shmget",
                                                           "shmat",
                                                           "msgget",
                                                           "semget",
                                                           "mq_open",
                                                           "mknod",
                                                           "mknodat"};
// Changes to files that Landlock does not see.
constexpr std::initializer_list<const char*> kFileAttributes = {
    "chmod",        "fchmod",   "fchmodat",  "chown",     "fchown",      "lchown",
    "fchownat",     "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr",
    "fremovexattr", "utime",    "utimes",    "utimensat", "futimesat"};
constexpr std::initializer_list<const char*> kChangesOfFolders = {
    "creat",    "mkdir",     "mkdirat", "rmdir",  "unlink",  "unlinkat",  "rename",
    "renameat", "renameat2", "link",    "linkat", "symlink", "symlinkat", "truncate"};
constexpr std::initializer_list<const char*> kSignals = {"kill", "tkill", "tgkill", "rt_sigqueueinfo",
                                                         "rt_tgsigqueueinfo"};

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

void check(int result) {
  if (result < 0) throw Error(std::string("cannot build the seccomp filter: ") + std::strerror(-result));
}

/// Calls that this architecture does not have are left out.
void deny(const Filter& filter, const char* name, int error) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number < 0) return;
  check(
      seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)), number, 0, nullptr));
}

void deny_if(const Filter& filter, const char* name, scmp_arg_cmp condition) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number < 0) return;
  check(seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 1, &condition));
}

void deny_all_writes(const Filter& filter) {
  for (const char* name : kChangesOfFolders) deny(filter, name, EROFS);
  deny(filter, "openat2", ENOSYS);
  for (const int flag : {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_TMPFILE & ~O_DIRECTORY}) {
    const auto bits = static_cast<scmp_datum_t>(flag);
    deny_if(filter, "open", {1, SCMP_CMP_MASKED_EQ, bits, bits});
    deny_if(filter, "openat", {2, SCMP_CMP_MASKED_EQ, bits, bits});
  }
}

std::vector<sock_filter> export_filter(const Filter& filter) {
  const int file = memfd_create("filter", MFD_CLOEXEC);
  if (file < 0) throw Error(std::string("cannot make a file in memory: ") + std::strerror(errno));
  const int exported = seccomp_export_bpf(filter.get(), file);
  const off_t size = lseek(file, 0, SEEK_END);
  std::vector<sock_filter> program(size > 0 ? static_cast<std::size_t>(size) / sizeof(sock_filter) : 0);
  const ssize_t got = pread(file, program.data(), program.size() * sizeof(sock_filter), 0);
  close(file);
  check(exported);
  if (program.empty() || got != size) throw Error("cannot export the seccomp filter");
  return program;
}

/// Rights that Landlock of this version can hold back and that change something on disk.
std::uint64_t write_rights(int version) {
  std::uint64_t rights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                         LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                         LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                         LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                         LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
  if (version >= 2) rights |= std::uint64_t{1} << 13U;  // LANDLOCK_ACCESS_FS_REFER
  if (version >= 3) rights |= std::uint64_t{1} << 14U;  // LANDLOCK_ACCESS_FS_TRUNCATE
  return rights;
}

bool allow_beneath(int rules, const char* path, std::uint64_t rights) {
  landlock_path_beneath_attr beneath{};
  beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
  if (beneath.parent_fd < 0) return false;
  beneath.allowed_access = rights;
  const long result = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
  close(beneath.parent_fd);
  return result == 0;
}

}  // namespace

std::vector<sock_filter> make_filter(const FilterOptions& options) {
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) throw Error("cannot build the seccomp filter: out of memory");
  for (const char* name : kForbidden) deny(filter, name, EPERM);
  for (const char* name : kFileAttributes) deny(filter, name, EPERM);
  deny(filter, "clone3",
       ENOSYS);  // its flags lie in memory, out of a filter's sight; libc falls back to clone
  deny_if(filter, "clone", {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0});
  if (options.deny_writes) deny_all_writes(filter);
  if (options.only_own_signals) {
    for (const char* name : kSignals) deny_if(filter, name, {0, SCMP_CMP_NE, kOwnPid, 0});
  }
  return export_filter(filter);
}

int landlock_version() {
  const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? static_cast<int>(version) : 0;
}

int make_landlock_rules(const std::string& folder) {
  const int version = landlock_version();
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = write_rights(version);
  const int rules = static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0));
  if (rules < 0) throw Error(std::string("cannot make a Landlock rule set: ") + std::strerror(errno));
  std::uint64_t file_rights = LANDLOCK_ACCESS_FS_WRITE_FILE;
  if (version >= 3) file_rights |= std::uint64_t{1} << 14U;
  if (!allow_beneath(rules, folder.c_str(), attributes.handled_access_fs) ||
      !allow_beneath(rules, "/dev/null", file_rights)) {
    const int error = errno;
    close(rules);
    throw Error(std::string("cannot make a Landlock rule: ") + std::strerror(error));
  }
  return rules;
}

bool enter_landlock(int rules) { return syscall(SYS_landlock_restrict_self, rules, 0) == 0; }

}  // namespace touchstone
