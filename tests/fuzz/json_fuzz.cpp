// A fuzz target of JSON as users give it: what is read says the same when it is written and read again.
#include <boost/json.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/parse_json.h"

using namespace touchstone;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  boost::json::value value;
  try {
    value = parse_json(std::string(reinterpret_cast<const char*>(data), size), "the input");
  } catch (const Error&) {
    return 0;
  }
  if (parse_json(boost::json::serialize(value), "its copy") != value) std::abort();
  return 0;
}
