#include "engine/check_logits.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/error.h"

namespace touchstone {
void check_logits(std::span<const float> logits, const std::string& model) {
  constexpr std::uint32_t kExponent = 0x7F800000U;
  constexpr std::size_t kLine = 16;  // logits
  constexpr std::size_t kPart = 16 * kLine;
  constexpr std::size_t kAhead = 8 * kPart;
  std::uint32_t not_finite = 0;
  for (std::size_t begin = 0; begin < logits.size(); begin += kPart) {
    const auto part = logits.subspan(begin, std::min(kPart, logits.size() - begin));
    // Other threads have written them, and this is the first to read: it would wait for each few lines.
    for (std::size_t i = begin + kAhead; i < std::min(begin + kAhead + kPart, logits.size()); i += kLine)
      __builtin_prefetch(&logits[i]);
    // Without an early exit, so that the compiler may use vectors: healthy models are read to the end anyway.
    for (const float logit : part) {
      not_finite |=
          static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(logit) & kExponent) == kExponent);
    }
  }
  if (not_finite == 0) return;
  throw Error(model + " computes logits that are not finite numbers",
              "its weights are damaged: download it again");
}

}  // namespace touchstone
