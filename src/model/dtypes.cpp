#include "model/dtypes.h"

#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace touchstone {
namespace {

constexpr std::array<std::pair<std::string_view, PackAs>, 6> kDtypes = {{{"auto", PackAs::stored},
                                                                         {"f32", PackAs::float32},
                                                                         {"f16", PackAs::float16},
                                                                         {"bf16", PackAs::bfloat16},
                                                                         {"int8", PackAs::int8},
                                                                         {"int4", PackAs::int4}}};

constexpr std::array<std::pair<std::string_view, std::optional<KvFormat>>, 5> kKvDtypes = {
    {{"auto", std::nullopt},
     {"f32", KvFormat::f32},
     {"f16", KvFormat::f16},
     {"bf16", KvFormat::bf16},
     {"int8", KvFormat::int8}}};

template <typename Table>
std::vector<std::string> list_names(const Table& table) {
  std::vector<std::string> names;
  names.reserve(table.size());
  for (const auto& [name, value] : table) names.emplace_back(name);
  return names;
}

template <typename Table>
auto find_named(const Table& table, const char* option, std::string_view wanted) {
  std::string names;
  for (const auto& [name, value] : table) {
    if (name == wanted) return value;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  throw Error(std::string(option) + " '" + std::string(wanted) + "' is not available", "use one of " + names);
}

}  // namespace

PackAs parse_dtype(const std::string& dtype) { return find_named(kDtypes, "dtype", dtype); }

std::optional<KvFormat> parse_kv_dtype(const std::string& dtype) {
  return find_named(kKvDtypes, "kv-dtype", dtype);
}

std::vector<std::string> dtype_names() { return list_names(kDtypes); }

std::vector<std::string> kv_dtype_names() { return list_names(kKvDtypes); }

}  // namespace touchstone
