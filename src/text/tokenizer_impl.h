// What a Tokenizer holds once it is ready to work.
#pragma once

#include <array>
#include <unordered_map>

#include "text/tokenizer_added.h"
#include "text/tokenizer_spec.h"

namespace touchstone {

struct Tokenizer::Impl {
  TokenizerSpec spec;
  std::uint32_t serial = 0;                                 // no other tokenizer of this process has it
  StringArena bytes;                                        // what each id stands for
  std::unordered_map<std::int32_t, std::size_t> added_ids;  // id -> index in spec.added
  std::unordered_map<std::string_view, std::int32_t> added_contents;  // -> id; views of spec.added
  AddedMatcher raw_added;                    // those that are looked for in the text as it is
  AddedMatcher normalized_added;             // those that are looked for after normalization
  std::array<std::int32_t, 256> byte_ids{};  // the token of each byte; -1: there is none

  const AddedToken* find_added(std::int32_t id) const;
};

/// Completes a specification.
Tokenizer make_tokenizer(TokenizerSpec spec);

}  // namespace touchstone
