#include "formats/gguf.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "base/error.h"
#include "formats/checked.h"

namespace touchstone {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF numbers are read as they lie");

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kDefaultAlignment = 32;
// The format asks for a multiple of 8.
constexpr std::uint64_t kMinAlignment = 8;
// Writers use 32; a page is the largest that makes sense.
constexpr std::uint64_t kMaxAlignment = 1U << 16U;
// The format allows arrays of arrays without bound; no writer nests them.
constexpr int kMaxArrayDepth = 4;
// ggml's own limit.
constexpr std::uint32_t kMaxDimensions = 4;
// The format's limit for keys, taken for tensors' names too.
constexpr std::uint64_t kMaxNameBytes = 65535;
// Smallest encodings: an empty key, its type and one byte; an empty name, counts, type and offset.
constexpr std::uint64_t kMinPairBytes = 8 + 4 + 1;
constexpr std::uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;
constexpr std::size_t kMaxJsonArray = 16;

constexpr const char* kAgain = "download the file again";

/// Reads forward through the file and never beyond it.
struct Reader {
  const Blob& file;
  std::size_t position = 0;

  std::size_t rest() const { return file.bytes.size() - position; }

  [[noreturn]] void fail(const std::string& what, const std::string& hint = kAgain) const {
    throw Error(file.name + ": " + what, hint);
  }

  std::span<const std::byte> take(std::uint64_t bytes, const std::string& what) {
    if (bytes > rest()) fail("is truncated or damaged at " + what);
    const auto view = file.bytes.subspan(position, bytes);
    position += bytes;
    return view;
  }

  template <typename T>
  T number(const std::string& what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::span<const std::byte> text(const std::string& what) {
    const auto length = number<std::uint64_t>(what);
    return take(length, what);
  }
};

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Bytes of a scalar, or 0 for strings and arrays.
std::size_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      break;
  }
  return 0;
}

GgufType read_type(Reader& reader, const std::string& what) {
  const auto type = reader.number<std::uint32_t>(what);
  if (type > static_cast<std::uint32_t>(GgufType::f64)) {
    reader.fail(what + " has the unknown type " + std::to_string(type));
  }
  return static_cast<GgufType>(type);
}

GgufValue read_value(Reader& reader, GgufType type, const std::string& what, int depth) {
  if (type == GgufType::string) return {type, reader.text(what)};
  if (type != GgufType::array) return {type, reader.take(scalar_bytes(type), what)};
  if (depth >= kMaxArrayDepth) reader.fail(what + " nests arrays too deeply");
  GgufValue value{type, {}};
  value.element_type = read_type(reader, what);
  value.count = reader.number<std::uint64_t>(what);
  const std::size_t start = reader.position;
  if (const std::size_t size = scalar_bytes(value.element_type); size > 0) {
    const auto bytes = multiply_checked(value.count, size);
    if (!bytes) reader.fail(what + " claims " + std::to_string(value.count) + " elements");
    reader.take(*bytes, what);
  } else {
    // Each element takes at least the eight bytes of its length, so a count that lies ends at the file's end.
    for (std::uint64_t i = 0; i < value.count; ++i) read_value(reader, value.element_type, what, depth + 1);
  }
  value.bytes = reader.file.bytes.subspan(start, reader.position - start);
  return value;
}

std::string read_name(Reader& reader, const std::string& what) {
  const std::string_view name = as_text(reader.text(what));
  if (name.size() > kMaxNameBytes) reader.fail(what + " is " + std::to_string(name.size()) + " bytes long");
  return replace_invalid_utf8(name);
}

void read_metadata(Reader& reader, std::uint64_t count, GgufFile& result) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string key = read_name(reader, "the name of metadata pair " + std::to_string(i));
    const std::string what = "metadata " + quote(key);
    const GgufType type = read_type(reader, what);
    if (!result.metadata.emplace(key, read_value(reader, type, what, 0)).second) {
      reader.fail(what + " occurs twice");
    }
    result.keys.push_back(std::move(key));
  }
}

std::uint64_t find_alignment(const Reader& reader, const GgufFile& result) {
  const auto found = result.metadata.find("general.alignment");
  if (found == result.metadata.end()) return kDefaultAlignment;
  const std::int64_t stored = to_integer(found->second).value_or(0);
  const auto alignment = static_cast<std::uint64_t>(std::max<std::int64_t>(stored, 0));
  if (!std::has_single_bit(alignment) || alignment < kMinAlignment || alignment > kMaxAlignment) {
    reader.fail("its general.alignment is not a power of two from " + std::to_string(kMinAlignment) + " to " +
                std::to_string(kMaxAlignment));
  }
  return alignment;
}

struct TypeName {
  std::string_view name;
  std::uint32_t number;
  std::optional<DType> dtype;
};

/// ggml's tensor types; those without a DType are known by name only, for the error message.
constexpr TypeName kTensorTypes[] = {{"F32", 0, DType::f32},
                                     {"F16", 1, DType::f16},
                                     {"Q4_0", 2, DType::q4_0},
                                     {"Q4_1", 3, DType::q4_1},
                                     {"Q5_0", 6, DType::q5_0},
                                     {"Q5_1", 7, DType::q5_1},
                                     {"Q8_0", 8, DType::q8_0},
                                     {"Q8_1", 9, {}},
                                     {"Q2_K", 10, {}},
                                     {"Q3_K", 11, {}},
                                     {"Q4_K", 12, DType::q4_k},
                                     {"Q5_K", 13, DType::q5_k},
                                     {"Q6_K", 14, DType::q6_k},
                                     {"Q8_K", 15, {}},
                                     {"IQ2_XXS", 16, {}},
                                     {"IQ2_XS", 17, {}},
                                     {"IQ3_XXS", 18, {}},
                                     {"IQ1_S", 19, {}},
                                     {"IQ4_NL", 20, {}},
                                     {"IQ3_S", 21, {}},
                                     {"IQ2_S", 22, {}},
                                     {"IQ4_XS", 23, {}},
                                     {"I8", 24, {}},
                                     {"I16", 25, {}},
                                     {"I32", 26, {}},
                                     {"I64", 27, {}},
                                     {"F64", 28, {}},
                                     {"IQ1_M", 29, {}},
                                     {"BF16", 30, DType::bf16},
                                     {"TQ1_0", 34, {}},
                                     {"TQ2_0", 35, {}},
                                     {"MXFP4", 39, {}}};

DType read_dtype(Reader& reader, const std::string& who) {
  const auto number = reader.number<std::uint32_t>(who);
  std::string name = "number " + std::to_string(number);
  for (const TypeName& type : kTensorTypes) {
    if (type.number != number) continue;
    if (type.dtype) return *type.dtype;
    name = type.name;
  }
  reader.fail(who + " is stored as type " + name + ", which is not supported",
              "use a file of type F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K");
}

/// A tensor's description; its place in the data is resolved once the data's start is known.
struct TensorPlace {
  Tensor tensor;
  std::uint64_t offset;
  std::uint64_t bytes;
};

TensorPlace read_tensor_info(Reader& reader, std::uint64_t index) {
  std::string name = read_name(reader, "the name of tensor " + std::to_string(index));
  const std::string who = "tensor " + quote(name);
  const auto dimensions = reader.number<std::uint32_t>(who);
  if (dimensions > kMaxDimensions) reader.fail(who + " claims " + std::to_string(dimensions) + " dimensions");
  std::vector<std::int64_t> shape(dimensions);
  for (std::int64_t& size : shape) size = reader.number<std::int64_t>(who);
  std::reverse(shape.begin(), shape.end());
  const DType dtype = read_dtype(reader, who);
  const auto offset = reader.number<std::uint64_t>(who);

  const DTypeInfo& info = dtype_info(dtype);
  const auto row = static_cast<std::uint64_t>(shape.empty() ? 1 : shape.back());
  const std::optional<std::uint64_t> count = count_values(shape);
  if (!count) reader.fail(who + " has an impossible shape");
  if (row % info.block_values != 0) {
    reader.fail(who + " has rows of " + std::to_string(row) + " values, which " + std::string(info.name) +
                " blocks do not fill");
  }
  const auto bytes = multiply_checked(*count / info.block_values, info.block_bytes);
  if (!bytes) reader.fail(who + " has an impossible shape");
  return {{std::move(name), dtype, std::move(shape), {}}, offset, *bytes};
}

void place_tensors(const Reader& reader, std::uint64_t alignment, std::vector<TensorPlace>& places) {
  const std::uint64_t start = (reader.position + alignment - 1) / alignment * alignment;
  const std::uint64_t size = reader.file.bytes.size();
  for (TensorPlace& place : places) {
    const std::string who = "tensor " + quote(place.tensor.name);
    if (place.offset % alignment != 0) reader.fail(who + " lies at an offset that is not aligned");
    if (place.bytes > 0 &&
        (start > size || place.offset > size - start || place.bytes > size - start - place.offset)) {
      reader.fail(who + " ends beyond the end of the file: the file is truncated");
    }
    if (place.bytes > 0) place.tensor.bytes = reader.file.bytes.subspan(start + place.offset, place.bytes);
  }
}

/// As ggml demands: each tensor begins where the one before it ends, but for the alignment.
void check_cover(const Reader& reader, std::uint64_t alignment, const std::vector<TensorPlace>& places) {
  std::vector<const TensorPlace*> order;
  for (const TensorPlace& place : places) {
    if (place.bytes > 0) order.push_back(&place);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  std::uint64_t end = 0;
  for (const TensorPlace* place : order) {
    const std::string who = "tensor " + quote(place->tensor.name);
    if (place->offset < end) reader.fail(who + " overlaps another tensor");
    if (place->offset - end >= alignment) reader.fail(who + " follows a gap that no tensor fills");
    end = place->offset + place->bytes;
  }
}

void check_version(const Reader& reader, std::uint32_t version) {
  if (version == 2 || version == 3) return;
  if (version != 0 && (version & 0xFFFFU) == 0) {
    reader.fail("is a big-endian GGUF file", "convert it to little-endian, or download that variant");
  }
  reader.fail("is of GGUF version " + std::to_string(version) + ", and only 2 and 3 are read",
              "convert the model again with a current converter");
}

template <typename T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

std::optional<std::int64_t> load_integer(GgufType type, const std::byte* bytes) {
  switch (type) {
    case GgufType::u8:
      return load<std::uint8_t>(bytes);
    case GgufType::i8:
      return load<std::int8_t>(bytes);
    case GgufType::u16:
      return load<std::uint16_t>(bytes);
    case GgufType::i16:
      return load<std::int16_t>(bytes);
    case GgufType::u32:
      return load<std::uint32_t>(bytes);
    case GgufType::i32:
      return load<std::int32_t>(bytes);
    case GgufType::i64:
      return load<std::int64_t>(bytes);
    case GgufType::u64: {
      const auto value = load<std::uint64_t>(bytes);
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
      return static_cast<std::int64_t>(value);
    }
    case GgufType::f32:
    case GgufType::f64:
    case GgufType::boolean:
    case GgufType::string:
    case GgufType::array:
      break;
  }
  return std::nullopt;
}

/// Calls `use` with each element of an array of scalars or strings, until it returns false.
template <typename Use>
void for_each_element(const GgufValue& array, Use use) {
  const std::byte* next = array.bytes.data();
  const std::size_t size = scalar_bytes(array.element_type);
  for (std::uint64_t i = 0; i < array.count; ++i) {
    std::size_t length = size;
    if (array.element_type == GgufType::string) {
      length = load<std::uint64_t>(next);
      next += sizeof(std::uint64_t);
    }
    if (!use(GgufValue{array.element_type, {next, length}})) return;
    next += length;
  }
}

template <typename T, typename Convert>
std::optional<std::vector<T>> convert_elements(const GgufValue& value, Convert convert) {
  if (value.type != GgufType::array || value.element_type == GgufType::array) return std::nullopt;
  std::vector<T> result;
  result.reserve(value.count);
  for_each_element(value, [&](const GgufValue& element) {
    const std::optional<T> converted = convert(element);
    if (converted) result.push_back(*converted);
    return converted.has_value();
  });
  if (result.size() != value.count) return std::nullopt;
  return result;
}

}  // namespace

GgufFile read_gguf(const Blob& file) {
  Reader reader{file};
  if (file.bytes.size() < sizeof(kMagic) || reader.number<std::uint32_t>("its magic") != kMagic) {
    reader.fail("is not a GGUF file", "check the name, or download the file again");
  }
  GgufFile result{reader.number<std::uint32_t>("its version"), {}, {}, {}};
  check_version(reader, result.version);
  const auto tensor_count = reader.number<std::uint64_t>("its tensor count");
  const auto pair_count = reader.number<std::uint64_t>("its metadata count");
  if (pair_count > reader.rest() / kMinPairBytes)
    reader.fail("claims " + std::to_string(pair_count) + " metadata pairs");
  read_metadata(reader, pair_count, result);
  if (tensor_count > reader.rest() / kMinTensorBytes)
    reader.fail("claims " + std::to_string(tensor_count) + " tensors");

  std::vector<TensorPlace> places;
  std::unordered_set<std::string> names;
  for (std::uint64_t i = 0; i < tensor_count; ++i) {
    places.push_back(read_tensor_info(reader, i));
    const std::string& name = places.back().tensor.name;
    if (!names.insert(name).second) reader.fail("tensor " + quote(name) + " is listed twice");
  }
  const std::uint64_t alignment = find_alignment(reader, result);
  place_tensors(reader, alignment, places);
  check_cover(reader, alignment, places);
  for (TensorPlace& place : places) result.tensors.push_back(std::move(place.tensor));
  return result;
}

std::optional<std::string_view> to_text(const GgufValue& value) {
  if (value.type != GgufType::string) return std::nullopt;
  return as_text(value.bytes);
}

std::optional<std::int64_t> to_integer(const GgufValue& value) {
  return load_integer(value.type, value.bytes.data());
}

std::optional<double> to_number(const GgufValue& value) {
  if (value.type == GgufType::f32) return load<float>(value.bytes.data());
  if (value.type == GgufType::f64) return load<double>(value.bytes.data());
  if (value.type == GgufType::u64) return static_cast<double>(load<std::uint64_t>(value.bytes.data()));
  const std::optional<std::int64_t> integer = to_integer(value);
  if (!integer) return std::nullopt;
  return static_cast<double>(*integer);
}

std::optional<bool> to_boolean(const GgufValue& value) {
  if (value.type != GgufType::boolean) return std::nullopt;
  return load<std::uint8_t>(value.bytes.data()) != 0;
}

std::optional<std::vector<std::string_view>> to_texts(const GgufValue& value) {
  return convert_elements<std::string_view>(value, to_text);
}

std::optional<std::vector<std::int64_t>> to_integers(const GgufValue& value) {
  return convert_elements<std::int64_t>(value, to_integer);
}

std::optional<boost::json::value> to_json(const GgufValue& value) {
  if (const auto text = to_text(value)) return boost::json::value(replace_invalid_utf8(*text));
  if (const auto boolean = to_boolean(value)) return boost::json::value(*boolean);
  if (value.type == GgufType::u64) return boost::json::value(load<std::uint64_t>(value.bytes.data()));
  if (const auto integer = to_integer(value)) return boost::json::value(*integer);
  if (const auto number = to_number(value)) {
    // JSON has no word for the others.
    return std::isfinite(*number) ? boost::json::value(*number) : boost::json::value();
  }
  if (value.element_type == GgufType::array || value.count > kMaxJsonArray) return std::nullopt;
  boost::json::array array;
  for_each_element(value, [&](const GgufValue& element) {
    array.push_back(*to_json(element));
    return true;
  });
  return array;
}

}  // namespace touchstone
