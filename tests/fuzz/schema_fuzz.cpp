// A fuzz target of JSON schemas as grammars: whatever the schema, a text of its grammar is JSON that it
// accepts. The first line of the input chooses the text's bytes, the rest is the schema.
#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/parse_json.h"
#include "engine/constraint.h"
#include "support/json_schema_check.h"
#include "text/json_schema.h"

using namespace touchstone;

namespace {

constexpr std::size_t kMostTextBytes = 100;

/// A text of the grammar; empty when it does not end in time.
std::string write_text(Constraint& constraint, std::string_view choices) {
  std::string text;
  std::int32_t state = constraint.start();
  while (text.size() < kMostTextBytes) {
    std::string possible;
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      if (constraint.advance(state, {&c, 1}) != Constraint::impossible) possible += c;
    }
    if (possible.empty() && !constraint.may_end(state)) std::abort();
    const auto choice =
        choices.empty() ? std::size_t{0} : std::size_t{static_cast<unsigned char>(choices.front())};
    choices.remove_prefix(std::min<std::size_t>(1, choices.size()));
    if (constraint.may_end(state) && (possible.empty() || choice % 4 == 0)) return text;
    text += possible[choice % possible.size()];
    state = constraint.advance(state, {&text.back(), 1});
  }
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line_end = std::min(input.find('\n'), size);
  try {
    const boost::json::value schema =
        parse_json(std::string(input.substr(std::min(line_end + 1, size))), "the schema");
    Constraint constraint(std::make_shared<Grammar>(compile_json_schema(schema)), nullptr);
    const std::string text = write_text(constraint, input.substr(0, line_end));
    if (text.empty()) return 0;
    boost::json::error_code error;
    const boost::json::value value = boost::json::parse(text, error);
    if (error || !testing::accepts(schema, schema, value)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
