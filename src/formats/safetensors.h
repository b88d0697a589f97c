// The safetensors container: eight bytes of header length, a JSON header, then the tensors' bytes without
// gaps.
#pragma once

#include <vector>

#include "formats/checkpoint.h"

namespace touchstone {

/// The tensors of one safetensors file, in order of their bytes; they view `file`. F32, F16 and BF16. The
/// bytes need not be aligned. Throws Error naming the file and the tensor: truncated or trailing bytes, a
/// header that lies, overlaps, gaps, duplicate names, other dtypes.
std::vector<Tensor> read_safetensors(const Blob& file);

}  // namespace touchstone
