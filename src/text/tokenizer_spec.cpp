#include "text/tokenizer_spec.h"

#include "base/error.h"

namespace touchstone {

std::pair<std::string_view, std::string_view> halves_of_merge(std::string_view merge, std::size_t rank,
                                                              std::string_view where) {
  const std::size_t space = merge.find(' ');
  if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
    throw Error(std::string(where) + ": merge " + std::to_string(rank) + " ('" +
                std::string(merge.substr(0, 80)) + "') is not two tokens with a space between");
  }
  return {merge.substr(0, space), merge.substr(space + 1)};
}

void put_merge(TokenizerSpec& spec, std::size_t rank, std::string_view left, std::string_view right,
               std::string_view where) {
  const auto id_of_part = [&](std::string_view part) {
    const auto id = spec.token_index.find(spec.tokens, part);
    if (!id) {
      throw Error(std::string(where) + ": merge " + std::to_string(rank) + " needs the token '" +
                  std::string(part.substr(0, 80)) + "', which is not in the vocabulary");
    }
    return *id;
  };
  thread_local std::string joined;
  joined.assign(left).append(right);
  const std::int32_t left_id = id_of_part(left);
  const std::int32_t right_id = id_of_part(right);
  spec.merges.put(left_id, right_id, {static_cast<std::int32_t>(rank), id_of_part(joined)});
}

}  // namespace touchstone
