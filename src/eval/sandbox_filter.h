// What the kernel refuses to a sandboxed program: a seccomp filter and a Landlock rule set.
#pragma once

#include <linux/filter.h>

#include <string>
#include <vector>

namespace touchstone {

struct FilterOptions {
  bool deny_writes = false;       // nothing can be opened for writing, created, renamed or removed
  bool only_own_signals = false;  // signals only to the pid that replaces kOwnPid
};

/// Stands for the program's own pid in the filter until the program knows it.
inline constexpr unsigned kOwnPid = 0x7A5A5A5AU;

/// The filter's instructions, for PR_SET_SECCOMP or bubblewrap's --seccomp. Throws Error.
std::vector<sock_filter> make_filter(const FilterOptions& options);

/// Landlock's version in this kernel; 0: none.
int landlock_version();

/// A rule set (file descriptor) that allows writing beneath `folder` and to /dev/null only. Throws Error.
int make_landlock_rules(const std::string& folder);

/// Applies the rule set to this thread for good; async-signal-safe. False when refused.
bool enter_landlock(int rules);

}  // namespace touchstone
