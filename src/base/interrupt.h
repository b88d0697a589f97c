// Ctrl-C as a flag that work polls which has something to keep or to say when it stops.
#pragma once

#include <chrono>
#include <string>

namespace touchstone {

/// From now on the first SIGINT or SIGTERM sets the flag; a second one ends the process at once, with status
/// 130. One that is ignored, as in a shell's background, stays so.
void catch_interrupts();

/// As above, but a process that has not ended this long after the first one is ended, having written
/// `last_words` to standard error. To be called once.
void catch_interrupts(std::chrono::milliseconds grace, std::string last_words);

/// Whether the user asked to stop.
bool interrupted();

/// Forgets an interrupt that has been dealt with (an interactive program stops the answer, not itself).
void clear_interrupt();

}  // namespace touchstone
