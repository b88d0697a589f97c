// Ctrl-C as a flag that long work polls.
#pragma once

namespace touchstone {

/// From now on the first SIGINT or SIGTERM sets the flag; a second one ends the process at once.
void catch_interrupts();

/// Whether the user asked to stop.
bool interrupted();

/// Forgets an interrupt that has been dealt with (an interactive program stops the answer, not itself).
void clear_interrupt();

}  // namespace touchstone
