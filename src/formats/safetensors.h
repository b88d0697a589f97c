// The safetensors container: eight bytes of header length, a JSON header, then the tensors' bytes without
// gaps.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace touchstone {

struct SafetensorsFile {
  std::vector<Tensor> tensors;  // F32, F16 and BF16, in order of their bytes; they view the file
  std::map<std::string, std::string>
      other_dtypes;                     // of the remaining tensors: name -> dtype ("I64", "BOOL", …)
  std::map<std::string, Tensor> bytes;  // those of them that are U8; their `dtype` says nothing
  std::map<std::string, std::string> metadata;  // __metadata__, as far as it is strings
};

/// Reads one safetensors file. The bytes of tensors need not be aligned. Throws Error naming the file and the
/// tensor: truncated or trailing bytes, a header that lies, overlaps, gaps, duplicate names, dtypes that the
/// format does not know.
SafetensorsFile read_safetensors(const Blob& file);

}  // namespace touchstone
