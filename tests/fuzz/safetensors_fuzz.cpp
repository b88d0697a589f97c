// A fuzz target of safetensors files: any bytes are refused with an Error, or give tensors that lie in them.
#include <cstdint>

#include "damaged_file.h"
#include "formats/safetensors.h"

using namespace touchstone;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    testing::touch(read_safetensors(testing::view_as_file(data, size)).tensors);
  } catch (const Error&) {
  }
  return 0;
}
