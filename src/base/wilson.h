// How sure a share is.
#pragma once

namespace touchstone {

inline constexpr double kConfidence = 0.95;  // what intervals cover
inline constexpr double kAlpha = 1 - kConfidence;

struct Interval {
  double low = 0;
  double high = 0;
};

/// Wilson's score interval (Wilson 1927) for `successes` of `trials`; both may be effective counts.
/// No trials: [0, 1].
Interval wilson_interval(double successes, double trials);

}  // namespace touchstone
