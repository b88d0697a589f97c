// A fuzz target of tokenizer.json: any JSON is refused with an Error, or gives a tokenizer that encodes and
// decodes.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/parse_json.h"
#include "text/tokenizer.h"

using namespace touchstone;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const boost::json::value file =
        parse_json(std::string(reinterpret_cast<const char*>(data), size), "tokenizer.json");
    if (!file.is_object()) return 0;
    const Tokenizer tokenizer = Tokenizer::from_json(file.get_object(), {});
    const auto ids = tokenizer.encode("It's 12345 <|end|>\n\n  é🙂\xFF ab", {});
    tokenizer.decode(ids);
    tokenizer.decode(ids, true);
  } catch (const Error&) {
  }
  return 0;
}
