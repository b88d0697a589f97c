// Ctrl-C as a flag that work polls which has something to keep or to say when it stops.
#pragma once

#include <chrono>
#include <string>

namespace touchstone {

inline constexpr int kExitInterrupted = 130;

/// Time to say or to keep something after Ctrl-C, before a user takes it for ignored.
inline constexpr std::chrono::milliseconds kInterruptGrace{400};

/// From now on the first SIGINT or SIGTERM sets the flag; a second one ends the process at once. One that is
/// ignored, as in a shell's background, stays so.
void catch_interrupts();

/// As above, but a process that has not ended this long after the first one is ended, having written
/// `last_words` to standard error. To be called once.
void catch_interrupts(std::chrono::milliseconds grace, std::string last_words);

/// Whether the user asked to stop.
bool interrupted();

/// Forgets an interrupt that has been dealt with (an interactive program stops the answer, not itself).
void clear_interrupt();

}  // namespace touchstone
