// Reading a JSON request: each field by its name and type, with errors that name it.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace touchstone::serve {

/// What a client did wrong, as the error body tells it.
class RequestError : public Error {
 public:
  RequestError(unsigned status, const std::string& message, std::string param = {}, std::string code = {})
      : Error(message), status(status), param(std::move(param)), code(std::move(code)) {}
  unsigned status;
  std::string param;  // the field, or empty
  std::string code;
};

/// 400, naming the field.
[[noreturn]] void refuse_field(const std::string& param, const std::string& message);

/// Parses a body: one JSON object. Throws RequestError.
boost::json::object parse_body(const std::string& body);

/// The fields of an object that outlives it. A field that is null counts as missing. All but unread() throw
/// RequestError for a wrong type or range.
class FieldReader {
 public:
  /// `path` stands before the names in errors: "stream_options.".
  explicit FieldReader(const boost::json::object& object, std::string path = {})
      : object_(object), path_(std::move(path)) {}

  const boost::json::value* find(std::string_view name);
  std::optional<bool> boolean(std::string_view name);
  std::optional<double> number(std::string_view name, double least, double most);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most);
  std::optional<std::string> string(std::string_view name);
  const boost::json::object* object(std::string_view name);
  const boost::json::array* array(std::string_view name);

  std::string path_of(std::string_view name) const { return path_ + std::string(name); }
  /// Names of fields that nobody has asked for.
  std::vector<std::string_view> unread() const;

 private:
  const boost::json::object& object_;
  std::string path_;
  std::set<std::string, std::less<>> read_;
};

/// Fields of a request that were not understood, for its sender to be told of: their paths, each once, at the
/// first of its places in an array, and only as many as anybody reads.
class IgnoredFields {
 public:
  /// Those that nobody has asked the reader for.
  void add(const FieldReader& fields);
  /// The same of fields that a chat template is given: what its source names is not ignored.
  void add_unless_named(const FieldReader& fields, std::string_view template_source);
  void add_path(std::string path);
  const std::vector<std::string>& paths() const { return paths_; }
  /// As a response header can hold them.
  std::string to_header() const;

 private:
  std::vector<std::string> paths_;
  std::set<std::string> known_;                        // the same without their places in arrays
  std::set<std::string, std::less<>> template_words_;  // once they are asked for
};

/// These throw RequestError where it is missing, or something else.
std::string need_string(FieldReader& fields, std::string_view name);
const boost::json::object& need_object(const boost::json::value& value, const std::string& path);

}  // namespace touchstone::serve
