// A fuzz target of GGUF files: any bytes are refused with an Error, or give a model whose tensors lie in them
// and a tokenizer that works or is refused.
#include <cstdint>

#include "damaged_file.h"
#include "formats/gguf_model.h"
#include "text/tokenizer.h"

using namespace touchstone;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Blob file = testing::view_as_file(data, size);
    const GgufFile gguf = read_gguf(file);
    testing::touch(gguf.tensors);
    Checkpoint checkpoint;
    fill_from_gguf(gguf, gguf.tensors, file.name, checkpoint);
    if (!checkpoint.gguf_tokenizer) return 0;
    const GgufTokenizer& t = *checkpoint.gguf_tokenizer;
    const Tokenizer tokenizer = Tokenizer::from_gguf(t.pre, t.tokens, t.token_types, t.merges, t.bos_id,
                                                     t.eos_id, t.add_bos, t.add_eos);
    tokenizer.decode(tokenizer.encode("ab <|end|> é", {}));
  } catch (const Error&) {
  }
  return 0;
}
