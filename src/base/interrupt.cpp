#include "base/interrupt.h"

#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "base/unfinished_file.h"

namespace touchstone {
namespace {

volatile std::sig_atomic_t flag = 0;
itimerval grace_timer{};  // all zero: no end to the grace
std::string last_words;   // NOLINT(cert-err58-cpp,bugprone-throwing-static-initialization)

void on_signal(int) {
  if (flag != 0) end_at_once(kExitInterrupted);
  flag = 1;
  setitimer(ITIMER_REAL, &grace_timer, nullptr);
}

void on_end_of_grace(int) {
  [[maybe_unused]] const auto written = write(STDERR_FILENO, last_words.data(), last_words.size());
  end_at_once(kExitInterrupted);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART: a blocked read returns
  for (const int number : {SIGINT, SIGTERM}) {
    if (std::signal(number, SIG_IGN) != SIG_IGN) sigaction(number, &action, nullptr);
  }
}

void catch_interrupts(std::chrono::milliseconds grace, std::string words) {
  constexpr std::chrono::seconds kSecond{1};
  last_words = std::move(words);
  grace_timer.it_value = {.tv_sec = grace / kSecond,
                          .tv_usec = std::chrono::microseconds(grace % kSecond).count()};
  std::signal(SIGALRM, on_end_of_grace);
  catch_interrupts();
}

bool interrupted() { return flag != 0; }

void clear_interrupt() { flag = 0; }

}  // namespace touchstone
