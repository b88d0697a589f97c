#pragma once

#include <span>
#include <string>

namespace touchstone {

/// Throws Error when a logit is NaN or infinite: nothing that is computed from it means anything. Weights
/// that are damaged, or too large for float32, make such logits. `model` is the error's subject.
void check_logits(std::span<const float> logits, const std::string& model);

}  // namespace touchstone
