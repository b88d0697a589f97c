#include "base/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace touchstone {
namespace {

volatile std::sig_atomic_t flag = 0;

void on_signal(int) {
  constexpr int kExitInterrupted = 130;
  if (flag != 0) _exit(kExitInterrupted);
  flag = 1;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART: a blocked read returns
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return flag != 0; }

void clear_interrupt() { flag = 0; }

}  // namespace touchstone
