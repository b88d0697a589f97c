#include "eval/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "eval/sandbox_filter.h"
#include "eval/sandbox_process.h"
#include "support/golden.h"

namespace touchstone {
namespace {

/// Every kind that this machine can run is held to the same promises.
class Sandbox : public ::testing::TestWithParam<SandboxKind> {
 protected:
  void SetUp() override {
    limits_.kind = GetParam();
    limits_.wall_seconds = 30;
    bool works = GetParam() != SandboxKind::landlock || landlock_version() > 0;
    try {
      works = works && run_python("print(1)", limits_).output == "1\n";
    } catch (const Error&) {
      works = false;
    }
    if (!works) GTEST_SKIP() << "this kind does not work on this machine";
  }

  ProgramResult run(const std::string& program) const { return run_python(program, limits_); }

  SandboxLimits limits_;
};

TEST_P(Sandbox, AProgramRunsAndItsOutputIsKept) {
  const ProgramResult result = run("import sys\nprint('hello')\nsys.stderr.write('aside')");
  EXPECT_EQ(result.outcome, ProgramOutcome::passed) << result.detail;
  EXPECT_EQ(result.output, "hello\n");
  EXPECT_EQ(result.stderr_tail, "aside");
}

TEST_P(Sandbox, FailureAndItsReasonAreReported) {
  EXPECT_EQ(run("raise SystemExit(3)").outcome, ProgramOutcome::failed);
  const ProgramResult raised = run("raise ValueError('seven')");
  EXPECT_EQ(raised.outcome, ProgramOutcome::failed);
  EXPECT_NE(raised.detail.find("ValueError: seven"), std::string::npos) << raised.detail;
  EXPECT_EQ(run("def (").outcome, ProgramOutcome::failed);
}

TEST_P(Sandbox, AProgramThatEndsAsALauncherThatFailedWouldIsAPlainFailure) {
  for (const int status : {126, 127}) {
    const std::string exit = "import os\nos._exit(" + std::to_string(status) + ")";
    const ProgramResult result = run(exit);
    EXPECT_EQ(result.outcome, ProgramOutcome::failed);
    EXPECT_NE(result.detail.find("status " + std::to_string(status)), std::string::npos) << result.detail;
    CheckedProgram checked;
    checked.attempts = {"import os\ndef f(): os._exit(" + std::to_string(status) + ")"};
    checked.entry_point = "f";
    checked.test = "def check(candidate):\n    assert candidate() == 1";
    EXPECT_EQ(run_checked(checked, limits_).outcome, ProgramOutcome::crashed);
  }
}

TEST_P(Sandbox, OneThatCannotStartIsAnErrorInOneLine) {
  limits_.memory_bytes = std::size_t{8} << 20;  // too little to load Python
  CheckedProgram checked;
  checked.attempts = {"def f(): return 1"};
  checked.entry_point = "f";
  checked.test = "def check(candidate): pass";
  for (const bool alone : {true, false}) {
    try {
      if (alone) {
        run("print(1)");
      } else {
        run_checked(checked, limits_);
      }
      FAIL() << "it started";
    } catch (const Error& error) {
      const std::string what = error.what();
      EXPECT_EQ(what.find("the sandbox cannot start python3: "), 0U) << what;
      EXPECT_EQ(what.find('\n'), what.npos) << what;
    }
  }
}

TEST_P(Sandbox, ASegmentationFaultIsACrash) {
  EXPECT_EQ(run("import ctypes\nctypes.string_at(0)").outcome, ProgramOutcome::crashed);
}

TEST_P(Sandbox, AnEndlessLoopIsStopped) {
  limits_.cpu_seconds = 1;
  EXPECT_EQ(run("while True: pass").outcome, ProgramOutcome::timed_out);
}

TEST_P(Sandbox, ASleeperIsStopped) {
  limits_.wall_seconds = 1;
  const ProgramResult result = run("import time\ntime.sleep(1000)");
  EXPECT_EQ(result.outcome, ProgramOutcome::timed_out);
  EXPECT_LT(result.seconds, 20);
}

TEST_P(Sandbox, ALoopThatIgnoresSignalsIsStopped) {
  limits_.cpu_seconds = 1;
  limits_.wall_seconds = 5;
  const ProgramResult result =
      run("import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except "
          "Exception: pass\n"
          "while True: pass");
  EXPECT_TRUE(result.outcome == ProgramOutcome::timed_out || result.outcome == ProgramOutcome::crashed);
}

TEST_P(Sandbox, MemoryIsBounded) {
  const ProgramResult result = run("x = bytearray(50 << 30)");
  EXPECT_EQ(result.outcome, ProgramOutcome::failed);
  EXPECT_NE(result.detail.find("MemoryError"), std::string::npos) << result.detail;
  EXPECT_NE(run("x = []\nwhile True: x.append(bytearray(1 << 20))").outcome, ProgramOutcome::passed);
}

TEST_P(Sandbox, NoFurtherProcessCanBeStarted) {
  for (const char* program :
       {"import os\nos.fork()", "import subprocess\nsubprocess.run(['/bin/true'])",
        "import os\nos.posix_spawn('/bin/true', ['true'], {})",
        "import multiprocessing as m\np = m.Process(target=print)\np.start()\np.join()"}) {
    EXPECT_EQ(run(program).outcome, ProgramOutcome::failed) << program;
  }
}

TEST_P(Sandbox, ABombOfThreadsIsBounded) {
  limits_.wall_seconds = 5;
  const ProgramResult result =
      run("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(100,)).start()");
  EXPECT_NE(result.outcome, ProgramOutcome::passed);
}

TEST_P(Sandbox, ThereIsNoNetwork) {
  for (const char* program :
       {"import socket\nsocket.socket()", "import socket\nsocket.socket(socket.AF_UNIX)",
        "import socket\nsocket.create_connection(('127.0.0.1', 80))",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1/')"}) {
    const ProgramResult result = run(program);
    EXPECT_EQ(result.outcome, ProgramOutcome::failed) << program;
    EXPECT_NE(result.stderr_tail.find("not permitted"), std::string::npos) << result.stderr_tail;
  }
}

TEST_P(Sandbox, NothingOutsideItsFolderIsWritten) {
  const testing::TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  const std::string base = folder.path().string();
  for (const std::string& program : std::vector<std::string>{
           "open('" + base + "/x', 'w').write('x')", "import os\nos.mkdir('" + base + "/d')",
           "import os\nos.symlink('/etc', '" + base + "/s')", "import os\nos.mkfifo('" + base + "/p')",
           "open('/etc/touchstone-x', 'w')", "import os\nos.chmod('" + base + "', 0)",
           "import os\nopen(os.path.expanduser('~root/x'), 'w')"}) {
    EXPECT_EQ(run(program).outcome, ProgramOutcome::failed) << program;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST_P(Sandbox, ItsOwnFolderIsEmptyAndWritableWhereTheKindAllowsIt) {
  const ProgramResult result = run(
      "import os\nassert os.listdir('.') == []\nopen('mine', 'w').write('x')\nprint(open('mine').read())");
  EXPECT_EQ(result.output, GetParam() == SandboxKind::seccomp ? "" : "x\n") << result.stderr_tail;
}

TEST_P(Sandbox, FilesAreBounded) {
  limits_.file_bytes = 1 << 20;
  EXPECT_NE(run("f = open('big', 'wb')\nfor i in range(100): f.write(bytes(1 << 20))\nf.close()").outcome,
            ProgramOutcome::passed);
}

TEST_P(Sandbox, OthersCannotBeSignalled) {
  const ProgramResult result = run("import os\nos.kill(os.getppid(), 9)");
  // Inside namespaces of its own the parent is not to be seen, and the first process shrugs signals off.
  EXPECT_TRUE(result.outcome == ProgramOutcome::failed || GetParam() == SandboxKind::bubblewrap)
      << result.detail;
  EXPECT_EQ(run("import os\nos.kill(" + std::to_string(getpid()) + ", 9)").outcome, ProgramOutcome::failed);
}

TEST_P(Sandbox, AFloodOfOutputIsCutAndDoesNotHang) {
  limits_.cpu_seconds = 20;
  limits_.wall_seconds = 60;
  const ProgramResult result = run("for i in range(1000): print('x' * (1 << 20))");
  EXPECT_EQ(result.outcome, ProgramOutcome::passed) << result.detail;
  EXPECT_EQ(result.output.size(), limits_.output_bytes);
}

TEST_P(Sandbox, StandardInputIsEmpty) {
  EXPECT_EQ(run("import sys\nprint(len(sys.stdin.read()))").output, "0\n");
}

TEST_P(Sandbox, TheEnvironmentAndOpenFilesOfTheParentAreNotSeen) {
  setenv("TOUCHSTONE_TEST_SECRET", "s3cret", 1);
  // A caller may have started this program with files open, at any number.
  std::vector<int> inherited;
  for (int fd = 3; fd < 12; ++fd) {
    if (fcntl(fd, F_GETFD) < 0 && dup2(STDERR_FILENO, fd) == fd) inherited.push_back(fd);
  }
  const ProgramResult result =
      run("import os\nassert 'TOUCHSTONE_TEST_SECRET' not in os.environ\n"
          "for fd in range(3, 64):\n"
          "    try: os.fstat(fd)\n"
          "    except OSError: continue\n"
          "    raise AssertionError(fd)\n");
  for (const int fd : inherited) close(fd);
  EXPECT_EQ(result.outcome, ProgramOutcome::passed) << result.detail;
}

TEST_P(Sandbox, HashesAreTheSameInEveryRun) {
  const std::string program = "print(hash('touchstone'), list({'a', 'b', 'c', 'd'}))";
  const std::string first = run(program).output;
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(run(program).output, first);
}

TEST_P(Sandbox, ManyRunAtOnce) {
  std::vector<std::string> outputs(12);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int worker = 0; worker < 4; ++worker) {
    threads.emplace_back([&, worker] {
      for (std::size_t i = static_cast<std::size_t>(worker); i < outputs.size(); i += 4) {
        outputs[i] = run("print(" + std::to_string(i) + ")").output;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(outputs[i], std::to_string(i) + "\n");
}

TEST_P(Sandbox, CheckedCodeMayUseManyKindsOfValues) {
  CheckedProgram program;
  program.entry_point = "f";
  program.attempts = {"def f(*a, **k):\n    return a[0](*a[1:], **k) if callable(a[0]) else a[0]\n"};
  program.test = R"(
from fractions import Fraction
def check(candidate):
    for v in [None, True, 0, -1, 10**5000, 0.1, float('inf'), 'x\n\ud800', b'\x00', (1, [2, {3: {4}}]), {1: 'a', 'b': (2,)}, set(),
              frozenset([1]), 1j, range(3), Fraction(1, 3), [[]]]:
        got = candidate(v)
        assert got == v and type(got) is type(v), v
    assert candidate(float('nan')) != candidate(float('nan'))
    assert candidate(lambda x, y=1: x + y, 2, y=5) == 7
    assert candidate(iter([1, 2])).__next__() == 1
    try:
        candidate(lambda: {}['k'])
    except KeyError:
        return
    assert False
)";
  const ProgramResult result = run_checked(program, limits_);
  EXPECT_EQ(result.outcome, ProgramOutcome::passed) << result.detail;
}

TEST_P(Sandbox, CheckedCodeMayChangeItsArgumentsAndGenerate) {
  CheckedProgram program;
  program.entry_point = "f";
  program.attempts = {"def f(x):\n    x.append(4)\n    return (i * i for i in x)\n"};
  program.test =
      "def check(candidate):\n    x = [1, 2]\n    assert list(candidate(x)) == [1, 4, 16]\n    assert x == "
      "[1, 2, 4]\n";
  const ProgramResult result = run_checked(program, limits_);
  EXPECT_EQ(result.outcome, ProgramOutcome::passed) << result.detail;
}

TEST_P(Sandbox, CheckedCodeCannotPassWithoutAnswering) {
  CheckedProgram program;
  program.entry_point = "f";
  program.test = "def check(candidate):\n    assert candidate(3) == 9\n";
  for (const char* code : {
           "import os\ndef f(x): os._exit(0)",
           "import sys\ndef f(x): sys.exit(0)",
           "import os\nos._exit(0)\ndef f(x): return 1",
           "class E:\n    def __eq__(self, o): return True\ndef f(x): return E()",
           "class E(int):\n    def __eq__(self, o): return True\ndef f(x): return E(1)",
           "def check(c): pass\ndef f(x): return 1",
           "import builtins\nbuiltins.AssertionError = KeyError\ndef f(x): return 1",
           "import os\ndef f(x):\n    for n in range(3, 64):\n        try: os.write(n, b'P' * 100)\n        "
           "except OSError: pass\n",
           "import os\nfor n in range(3, 64):\n    try: os.close(n)\n    except OSError: pass\ndef f(x): "
           "return 9",
           "import os, glob\ndef f(x):\n    for p in glob.glob('/proc/[0-9]*/fd/6'):\n        try: open(p, "
           "'w').write('P')\n"
           "        except OSError: pass\n    os._exit(0)",
           "def f(x): raise AssertionError",
           "def f(x): return f(x)",
           "def g(x): return 9",
       }) {
    program.attempts = {code};
    EXPECT_NE(run_checked(program, limits_).outcome, ProgramOutcome::passed) << code;
  }
  program.attempts = {"def f(x): return x * x"};
  EXPECT_EQ(run_checked(program, limits_).outcome, ProgramOutcome::passed);
}

TEST_P(Sandbox, CheckedCodeThatSleepsOrFloodsIsStopped) {
  limits_.wall_seconds = 2;
  CheckedProgram program;
  program.entry_point = "f";
  program.test = "assert f(3) == 9";
  for (const char* code :
       {"import time\ndef f(x): time.sleep(1000)", "def f(x):\n    while True: print('x' * 100000)",
        "import sys\ndef f(x):\n    while True: sys.stderr.write('x' * 100000)"}) {
    program.attempts = {code};
    EXPECT_EQ(run_checked(program, limits_).outcome, ProgramOutcome::timed_out) << code;
  }
}

std::string kind_name(const ::testing::TestParamInfo<SandboxKind>& info) {
  return info.param == SandboxKind::bubblewrap ? "bubblewrap"
         : info.param == SandboxKind::landlock ? "landlock"
                                               : "seccomp";
}

INSTANTIATE_TEST_SUITE_P(Kinds, Sandbox,
                         ::testing::Values(SandboxKind::bubblewrap, SandboxKind::landlock,
                                           SandboxKind::seccomp),
                         kind_name);

TEST(SandboxChoice, SomeKindWorksHereAndIsDescribed) {
  EXPECT_FALSE(sandbox_kind().empty());
  EXPECT_NE(sandbox_description().find("no sockets"), std::string::npos);
}

}  // namespace
}  // namespace touchstone
