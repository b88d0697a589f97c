// Which prompts a step computes.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace touchstone {

/// How many tokens of each prompt a step of `budget` tokens computes. `left`: what is left of each, oldest
/// first. Half goes to the oldest, so that none waits for ever, and the rest to the shortest, so that a short
/// one does not wait for long ones.
std::vector<std::size_t> share_chunk(std::span<const std::size_t> left, std::size_t budget);

}  // namespace touchstone
