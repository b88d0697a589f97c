// Bytes that repeat, for benchmarks of models that are not there.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/blob.h"

namespace touchstone {

/// `size` bytes: the pattern, whole pages of 4 KiB, over and over. Takes the memory of one pattern,
/// however many there are, and drop_pages() applies. Throws Error when the system refuses.
Blob repeat_bytes(std::string name, std::span<const std::byte> pattern, std::size_t size);

}  // namespace touchstone
