// The names that ModelOptions' dtype and kv_dtype have.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/weights.h"

namespace touchstone {

/// Throws Error for a name that is not one of dtype_names().
PackAs parse_dtype(const std::string& dtype);

/// Nothing for auto. Throws Error for a name that is not one of kv_dtype_names().
std::optional<KvFormat> parse_kv_dtype(const std::string& dtype);

std::vector<std::string> dtype_names();
std::vector<std::string> kv_dtype_names();

}  // namespace touchstone
