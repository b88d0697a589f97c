#include "serve/response_format.h"

#include "engine/constraint.h"
#include "text/json_schema.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace {

std::shared_ptr<const Grammar> compile(const json::value& schema, const std::string& path) {
  std::shared_ptr<const Grammar> grammar;
  try {
    grammar = std::make_shared<const Grammar>(compile_json_schema(schema));
  } catch (const Error& error) {
    refuse_field(path, path + ": " + error.what() + (error.hint().empty() ? "" : "; " + error.hint()));
  }
  if (Constraint(grammar, nullptr).start() == Constraint::impossible) {
    refuse_field(path, path + ": the schema has too many alternatives");
  }
  return grammar;
}

std::shared_ptr<const Grammar> read_json_schema(FieldReader& format) {
  const std::string path = format.path_of("json_schema");
  const json::object* wrapper = format.object("json_schema");
  if (wrapper == nullptr) refuse_field(path, path + " is missing");
  FieldReader fields(*wrapper, path + ".");
  fields.string("name");
  fields.string("description");
  fields.boolean("strict");
  const json::value* schema = fields.find("schema");
  if (schema == nullptr) refuse_field(fields.path_of("schema"), fields.path_of("schema") + " is missing");
  return compile(*schema, fields.path_of("schema"));
}

}  // namespace

std::shared_ptr<const Grammar> read_response_format(FieldReader& fields) {
  const json::object* object = fields.object("response_format");
  if (object == nullptr) return nullptr;
  FieldReader format(*object, "response_format.");
  const std::string type = format.string("type").value_or("");
  if (type == "text") return nullptr;
  if (type == "json_object") return std::make_shared<const Grammar>(make_json_object_grammar());
  if (type == "json_schema") return read_json_schema(format);
  refuse_field("response_format.type", "response_format.type must be text, json_object or json_schema");
}

}  // namespace touchstone::serve
