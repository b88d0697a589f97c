#include "formats/safetensors.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <cstring>
#include <unordered_set>

#include "base/error.h"
#include "formats/checked.h"

namespace touchstone {
namespace {

namespace json = boost::json;

constexpr std::size_t kLengthBytes = 8;
// The reference implementation's bound.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
// {name: {"shape": [..]}} is 3 deep; metadata holds strings only.
constexpr std::size_t kMaxHeaderDepth = 8;
// Transformers use 1 or 2; no framework goes beyond 64.
constexpr std::size_t kMaxDimensions = 64;

constexpr const char* kAgain = "download the file again";

[[noreturn]] void fail(const Blob& file, const std::string& what, const std::string& hint = kAgain) {
  throw Error(file.name + ": " + what, hint);
}

/// A SAX handler that finds a key written twice in the outermost object; a document tree would keep the last
/// silently.
struct DuplicateFinder {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  std::unordered_set<std::string> seen;
  std::string key;
  std::optional<std::string> duplicate;
  int depth = 0;

  bool open() { return ++depth > 0; }
  bool close() { return --depth >= 0; }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    if (depth == 1) key.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    if (depth != 1) return true;
    key.append(part.data(), part.size());
    if (!seen.insert(key).second) duplicate = key;
    key.clear();
    return true;
  }
  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return open(); }
  bool on_object_end(std::size_t, json::error_code&) { return close(); }
  bool on_array_begin(json::error_code&) { return open(); }
  bool on_array_end(std::size_t, json::error_code&) { return close(); }
  bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_string(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code&) { return true; }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return true; }
  bool on_double(double, json::string_view, json::error_code&) { return true; }
  bool on_bool(bool, json::error_code&) { return true; }
  bool on_null(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
};

json::object parse_header(const Blob& file, std::string_view header) {
  if (has_absurdly_many_values(header)) fail(file, "its header holds absurdly many values");
  json::parse_options options;
  options.max_depth = kMaxHeaderDepth;
  json::basic_parser<DuplicateFinder> finder(options);
  json::error_code error;
  finder.write_some(false, header.data(), header.size(), error);
  if (error) fail(file, "its header is not valid JSON: " + error.message());
  if (finder.handler().duplicate)
    fail(file, "tensor " + quote(*finder.handler().duplicate) + " is listed twice");

  json::value value = json::parse(header, error, {}, options);
  if (error) fail(file, "its header is not valid JSON: " + error.message());
  if (!value.is_object()) fail(file, "its header is not a JSON object");
  return std::move(value.as_object());
}

/// The JSON header between the length and the tensors' bytes.
std::string_view cut_header(const Blob& file) {
  const std::string_view text = file.text();
  if (text.size() < kLengthBytes)
    fail(file, "is only " + std::to_string(text.size()) + " bytes long, not a safetensors file");
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    fail(file,
         "claims a header of " + std::to_string(length) + " bytes; it is damaged or not a safetensors file");
  }
  if (length > text.size() - kLengthBytes) fail(file, "is truncated inside its header");
  return text.substr(kLengthBytes, length);
}

struct StoredType {
  std::string_view name;
  std::size_t bytes;
  std::optional<DType> dtype;  // nothing when its values are not read
};

constexpr StoredType kStoredTypes[] = {
    {"F32", 4, DType::f32}, {"F16", 2, DType::f16}, {"BF16", 2, DType::bf16},
    {"BOOL", 1, {}},        {"U8", 1, {}},          {"I8", 1, {}},
    {"F8_E5M2", 1, {}},     {"F8_E4M3", 1, {}},     {"I16", 2, {}},
    {"U16", 2, {}},         {"I32", 4, {}},         {"U32", 4, {}},
    {"F64", 8, {}},         {"I64", 8, {}},         {"U64", 8, {}}};

const StoredType* find_stored_type(std::string_view name) {
  for (const StoredType& type : kStoredTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

std::optional<std::uint64_t> to_unsigned(const json::value& value) {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<std::uint64_t>(value.get_int64());
  return std::nullopt;
}

std::vector<std::int64_t> read_shape(const Blob& file, const std::string& who, const json::value* value) {
  if (value == nullptr || !value->is_array()) fail(file, who + " has no shape");
  if (value->get_array().size() > kMaxDimensions) fail(file, who + " has more than 64 dimensions");
  std::vector<std::int64_t> shape;
  for (const json::value& dimension : value->get_array()) {
    if (!dimension.is_int64() || dimension.get_int64() < 0) {
      fail(file, who + " has a dimension that is not a whole number");
    }
    shape.push_back(dimension.get_int64());
  }
  return shape;
}

struct Entry {
  Tensor tensor;
  const StoredType* type;
};

Entry read_entry(const Blob& file, std::string_view data, const std::string& name, const json::value& value) {
  const std::string who = "tensor " + quote(name);
  if (!value.is_object()) fail(file, who + " is not described by an object");
  const json::object& fields = value.get_object();

  const json::value* dtype = fields.if_contains("dtype");
  if (dtype == nullptr || !dtype->is_string()) fail(file, who + " has no dtype");
  const StoredType* type = find_stored_type(dtype->get_string());
  if (type == nullptr) {
    fail(file, who + " has the unknown dtype " + quote(dtype->get_string()),
         "use a checkpoint in F32, F16 or BF16, or a GGUF file");
  }
  std::vector<std::int64_t> shape = read_shape(file, who, fields.if_contains("shape"));

  const json::value* offsets = fields.if_contains("data_offsets");
  if (offsets == nullptr || !offsets->is_array() || offsets->get_array().size() != 2) {
    fail(file, who + " has no data_offsets");
  }
  const std::optional<std::uint64_t> begin = to_unsigned(offsets->get_array()[0]);
  const std::optional<std::uint64_t> end = to_unsigned(offsets->get_array()[1]);
  if (!begin || !end || *begin > *end) fail(file, who + " has offsets that are no range");
  if (*end > data.size()) {
    fail(file, who + " ends at byte " + std::to_string(*end) + " of " + std::to_string(data.size()) +
                   ": the file is truncated");
  }
  const std::optional<std::uint64_t> count = count_values(shape);
  const std::optional<std::uint64_t> bytes = count ? multiply_checked(*count, type->bytes) : std::nullopt;
  if (!bytes || *bytes != *end - *begin) {
    fail(file, who + " has " + std::to_string(*end - *begin) +
                   " bytes, which is not what its shape and dtype need");
  }
  const std::string_view view = data.substr(*begin, *end - *begin);
  return {{name, type->dtype.value_or(DType::f32), std::move(shape), std::as_bytes(std::span(view))}, type};
}

/// As in the format's specification: the tensors fill the data from its first byte to its last.
void check_cover(const Blob& file, std::string_view data, const std::vector<Entry>& entries) {
  const auto* expected = reinterpret_cast<const std::byte*>(data.data());
  for (const auto& [tensor, type] : entries) {
    if (tensor.bytes.data() != expected) {
      const bool overlap = tensor.bytes.data() < expected;
      fail(file, "tensor " + quote(tensor.name) +
                     (overlap ? " overlaps another tensor" : " follows a gap that no tensor fills"));
    }
    expected += tensor.bytes.size();
  }
  const auto* end = reinterpret_cast<const std::byte*>(data.data()) + data.size();
  if (expected != end) fail(file, "has " + std::to_string(end - expected) + " bytes after its last tensor");
}

}  // namespace

SafetensorsFile read_safetensors(const Blob& file) {
  const std::string_view header = cut_header(file);
  const std::string_view data = file.text().substr(kLengthBytes + header.size());
  SafetensorsFile result;
  std::vector<Entry> entries;
  for (const auto& [key, value] : parse_header(file, header)) {
    if (key != "__metadata__") {
      entries.push_back(read_entry(file, data, std::string(key), value));
      continue;
    }
    if (!value.is_object()) fail(file, "its __metadata__ is not an object");
    for (const auto& [name, text] : value.get_object()) {
      if (!text.is_string()) fail(file, "its __metadata__ " + quote(name) + " is not a string");
      result.metadata.emplace(name, text.get_string());
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.tensor.bytes.data(), a.tensor.bytes.size()) <
           std::pair(b.tensor.bytes.data(), b.tensor.bytes.size());
  });
  check_cover(file, data, entries);

  for (Entry& entry : entries) {
    if (entry.type->dtype) {
      result.tensors.push_back(std::move(entry.tensor));
      continue;
    }
    result.other_dtypes.emplace(entry.tensor.name, entry.type->name);
    if (entry.type->name == "U8") {
      std::string name = entry.tensor.name;
      result.bytes.emplace(std::move(name), std::move(entry.tensor));
    }
  }
  return result;
}

}  // namespace touchstone
