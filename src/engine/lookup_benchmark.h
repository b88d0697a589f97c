// What `touchstone bench --lookup` measures: decoding with guesses from the text so far beside decoding
// without.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "engine/engine.h"

namespace touchstone {

struct LookupBenchmarkOptions {
  Lookup lookup = Lookup::automatic;  // compared with Lookup::off
  std::int32_t new_tokens = 256;      // of an answer at most
  int repeats = 3;
};

/// Answers built-in prompts, by turns with and without lookup, each time in an engine of its own that has
/// timed nothing yet; and times passes of 1 to 16 tokens. Needs a real model: random weights repeat nothing.
/// `progress` gets a line before each stage. Throws Error when the answers differ.
boost::json::object run_lookup_benchmark(const std::shared_ptr<LoadedModel>& model,
                                         const LookupBenchmarkOptions& options,
                                         const std::function<void(const std::string&)>& progress);

}  // namespace touchstone
