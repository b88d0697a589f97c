#include "serve/response_format.h"

#include "engine/constraint.h"
#include "engine/receipt.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace {

/// The place in it that an error of its schema is said of. Throws RequestError where a member is missing.
std::string check_json_schema(FieldReader& format, IgnoredFields& ignored) {
  const std::string path = format.path_of("json_schema");
  const json::object* wrapper = format.object("json_schema");
  if (wrapper == nullptr) refuse_field(path, path + " is missing");
  FieldReader fields(*wrapper, path + ".");
  fields.string("name");
  fields.string("description");
  fields.boolean("strict");
  std::string schema = fields.path_of("schema");
  if (fields.find("schema") == nullptr) refuse_field(schema, schema + " is missing");
  ignored.add(fields);
  return schema;
}

}  // namespace

AnswerForm make_answer_form(json::value json, const std::string& path) {
  AnswerForm form{.json = std::move(json), .grammar = nullptr};
  try {
    form.grammar = make_constraint(form.json);
  } catch (const Error& error) {
    refuse_field(path, path + ": " + error.what() + (error.hint().empty() ? "" : "; " + error.hint()));
  }
  if (form.grammar && Constraint(form.grammar, nullptr).start() == Constraint::impossible) {
    refuse_field(path, path + ": the schema has too many alternatives");
  }
  return form;
}

AnswerForm read_response_format(FieldReader& fields, IgnoredFields& ignored) {
  const json::object* object = fields.object("response_format");
  if (object == nullptr) return {};
  FieldReader format(*object, "response_format.");
  std::string path = format.path_of("type");
  const std::string type = format.string("type").value_or("");
  if (type == "json_schema") {
    path = check_json_schema(format, ignored);
  } else if (type != "text" && type != "json_object") {
    refuse_field(path, path + " must be text, json_object or json_schema");
  }
  ignored.add(format);
  return make_answer_form(*object, path);
}

}  // namespace touchstone::serve
