// A fuzz target of the way from a body to a request: any bytes, read as each API does.
// serve/request_fuzz_test.cpp calls it in every test run, too.
#include <array>
#include <cstdint>
#include <string>

#include "serve/completions.h"
#include "serve/dialect.h"
#include "serve/request_fields.h"

using namespace touchstone;
using namespace touchstone::serve;

namespace {

struct Target {
  LoadedModel model = load_model("demo:distilled", {});
  Prompter prompter = make_prompter(model, false);
};

}  // namespace

/// The first byte chooses the API, the others are the body. What is refused is refused as a request is;
/// any other exception is a finding.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Target target;
  static constexpr std::array<const Dialect*, 6> kDialects = {
      &kOpenAiChat, &kOpenAiText, &kOllamaChat, &kOllamaGenerate, &kAnthropic, &kOpenAiResponses};
  if (size == 0) return 0;
  const std::string body(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    kDialects[data[0] % kDialects.size()]->read(parse_body(body),
                                                {.prompter = target.prompter,
                                                 .defaults = target.model.defaults,
                                                 .vocab_size = target.model.transformer->config().vocab_size,
                                                 .max_sequence_tokens = 2048});
  } catch (const RequestError&) {
  }
  return 0;
}
