// Text -> ids.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace touchstone {

/// Tokenizer::encode.
std::vector<std::int32_t> encode_text(const Tokenizer::Impl& impl, std::string_view text,
                                      const Tokenizer::EncodeOptions& options);

}  // namespace touchstone
