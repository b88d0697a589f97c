#include "engine/check_logits.h"

#include <bit>
#include <cstdint>

#include "base/error.h"

namespace touchstone {

void check_logits(std::span<const float> logits, const std::string& model) {
  constexpr std::uint32_t kExponent = 0x7F800000U;
  // Without an early exit, so that the compiler may use vectors: healthy models are read to the end anyway.
  std::uint32_t not_finite = 0;
  for (const float logit : logits) {
    not_finite |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(logit) & kExponent) == kExponent);
  }
  if (not_finite == 0) return;
  throw Error(model + " computes logits that are not finite numbers",
              "its weights are damaged: download it again");
}

}  // namespace touchstone
