// The names of a GGUF model's parts: "NAME-00002-of-00003.gguf".
#pragma once

#include <optional>
#include <string>

namespace touchstone {

struct SplitName {
  std::string stem;
  int part;  // from 1
  int count;
};

/// A file's name taken apart, or nothing when it is not of that form.
std::optional<SplitName> parse_split_name(const std::string& file_name);

std::string make_split_name(const SplitName& name);

}  // namespace touchstone
