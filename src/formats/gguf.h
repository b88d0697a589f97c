// The GGUF container, versions 2 and 3, little-endian: typed metadata, tensor descriptions, aligned tensor
// bytes. What the metadata means for a model is gguf_model.h's business.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/checkpoint.h"

namespace touchstone {

/// As numbered in the file.
enum class GgufType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

/// One metadata value, still in the file's bytes; its bounds have been checked.
struct GgufValue {
  GgufType type;
  std::span<const std::byte> bytes;         // a scalar's bytes, a string's text, an array's elements
  GgufType element_type = GgufType::array;  // arrays only
  std::uint64_t count = 0;                  // arrays only
};

struct GgufFile {
  std::uint32_t version;
  std::vector<std::string> keys;  // in order of the file
  std::unordered_map<std::string, GgufValue> metadata;
  std::vector<Tensor> tensors;  // GGUF names; shapes outermost first
};

/// Reads and checks the whole container; values and tensors view `file`. Throws Error naming the file and the
/// key or tensor: truncation, counts and lengths that lie, overlaps, misalignment, duplicates, unknown or
/// unsupported types.
GgufFile read_gguf(const Blob& file);

// Accessors: nothing when the value is of another kind. Integers of any width, floats of both; a negative or
// too large number is nothing where it does not fit.
std::optional<std::string_view> to_text(const GgufValue& value);
std::optional<std::int64_t> to_integer(const GgufValue& value);
std::optional<double> to_number(const GgufValue& value);  // integers too
std::optional<bool> to_boolean(const GgufValue& value);
std::optional<std::vector<std::string_view>> to_texts(const GgufValue& value);
std::optional<std::vector<std::int64_t>> to_integers(const GgufValue& value);

/// A scalar or string as JSON (invalid UTF-8 replaced); for arrays, only those of at most 16 scalars or
/// strings, else nothing.
std::optional<boost::json::value> to_json(const GgufValue& value);

}  // namespace touchstone
