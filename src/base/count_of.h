// Numbers of things in words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace touchstone {

/// "1 item", "2 items".
inline std::string count_of(std::int64_t count, std::string_view thing) {
  return std::to_string(count) + " " + std::string(thing) + (count == 1 ? "" : "s");
}

}  // namespace touchstone
