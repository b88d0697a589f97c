// Does a text that was cut off go round in circles?
#pragma once

#include <cstdint>
#include <span>

namespace touchstone {

/// Whether the ids end in a period of at most 200 tokens that stands there at least three times in a row and
/// covers at least 60 tokens. Used to tell *looped* from *cut off*; it does not stop generation.
bool ends_in_loop(std::span<const std::int32_t> ids);

}  // namespace touchstone
