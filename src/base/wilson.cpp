#include "base/wilson.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cassert>
#include <cmath>

namespace touchstone {

Interval wilson_interval(double successes, double trials) {
  assert(successes >= 0 && successes <= trials);
  if (trials <= 0) return {0, 1};
  const double z = boost::math::quantile(boost::math::normal(), 1 - kAlpha / 2);
  const double p = successes / trials;
  const double scale = 1 + z * z / trials;
  const double centre = (p + z * z / (2 * trials)) / scale;
  const double half = z / scale * std::sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));
  // Exactly 0 and 1 at the ends, where rounding would leave a stray 1e-17.
  return {successes == 0 ? 0.0 : std::max(0.0, centre - half),
          successes == trials ? 1.0 : std::min(1.0, centre + half)};
}

}  // namespace touchstone
