// Jinja's tests: `value is name(arguments)`.
#include <algorithm>
#include <array>

#include "text/jinja_builtins.h"
#include "text/jinja_int.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"

namespace touchstone::jinja {
namespace {

bool equals_integer(const Value& value, std::int64_t number, Budget& budget) {
  return equal(value, Value(number), budget);
}

Value remainder(const Value& value, const Value& divisor, Budget& budget) {
  return apply_binary(ExprKind::modulo, value, divisor, budget);
}

/// Python's `is`, as far as it can be told: numbers and strings that are equal are taken for the same object.
bool is_same(const Value& left, const Value& right, Budget& budget) {
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::list:
    case Kind::tuple:
      return left.sequence() == right.sequence();
    case Kind::dict:
      return left.dict_ref() == right.dict_ref();
    case Kind::object:
      return left.object() == right.object();
    default:
      return equal(left, right, budget);
  }
}

/// str.islower() or str.isupper(): no letter of the other case, and at least one of this.
bool has_case(const Value& value, bool upper, Budget& budget) {
  const std::string text = to_str(value, budget);
  budget.scan(text.size());
  bool found = false;
  for (std::size_t position = 0; position < text.size();) {
    const char32_t character = next_char(text, position);
    if (upper ? is_lower(character) || is_title(character) : is_upper(character) || is_title(character))
      return false;
    found |= upper ? is_upper(character) : is_lower(character);
  }
  return found;
}

bool is_sequence(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_sequence() || value.is_dict() ||
         value.as<RangeObject>() != nullptr;
}

struct TestEntry {
  std::string_view name;
  std::size_t arguments;
  bool (*apply)(const Value&, const CallArguments&, Budget&);
};

const Value& first(const CallArguments& arguments) { return arguments.positional.front(); }

template <typename Operator>
bool compare_with(const Value& value, const CallArguments& arguments, Budget& budget) {
  return apply_comparison(Operator::kName, value, first(arguments), budget);
}
struct Equal {
  static constexpr std::string_view kName = "==";
};
struct Unequal {
  static constexpr std::string_view kName = "!=";
};
struct Less {
  static constexpr std::string_view kName = "<";
};
struct LessOrEqual {
  static constexpr std::string_view kName = "<=";
};
struct Greater {
  static constexpr std::string_view kName = ">";
};
struct GreaterOrEqual {
  static constexpr std::string_view kName = ">=";
};
struct In {
  static constexpr std::string_view kName = "in";
};

using A = const CallArguments&;

constexpr std::array<TestEntry, 39> kTests = {{
    {"defined", 0, [](const Value& v, A, Budget&) { return !v.is_undefined(); }},
    {"undefined", 0, [](const Value& v, A, Budget&) { return v.is_undefined(); }},
    {"none", 0, [](const Value& v, A, Budget&) { return v.is_none(); }},
    {"boolean", 0, [](const Value& v, A, Budget&) { return v.is(Kind::boolean); }},
    {"true", 0, [](const Value& v, A, Budget&) { return v.is(Kind::boolean) && v.boolean(); }},
    {"false", 0, [](const Value& v, A, Budget&) { return v.is(Kind::boolean) && !v.boolean(); }},
    {"integer", 0, [](const Value& v, A, Budget&) { return v.is_integer(); }},
    {"float", 0, [](const Value& v, A, Budget&) { return v.is(Kind::real); }},
    {"number", 0, [](const Value& v, A, Budget&) { return v.is_number(); }},
    {"string", 0, [](const Value& v, A, Budget&) { return v.is_string(); }},
    {"mapping", 0, [](const Value& v, A, Budget&) { return v.is_dict(); }},
    {"sequence", 0, [](const Value& v, A, Budget&) { return is_sequence(v); }},
    {"iterable", 0, [](const Value& v, A, Budget&) { return is_iterable(v); }},
    {"callable", 0, [](const Value& v, A, Budget&) { return is_callable(v); }},
    {"escaped", 0, [](const Value& v, A, Budget&) { return v.is_markup(); }},
    {"lower", 0, [](const Value& v, A, Budget& b) { return has_case(v, false, b); }},
    {"upper", 0, [](const Value& v, A, Budget& b) { return has_case(v, true, b); }},
    {"odd", 0, [](const Value& v, A, Budget& b) { return equals_integer(remainder(v, Value(2), b), 1, b); }},
    {"even", 0, [](const Value& v, A, Budget& b) { return equals_integer(remainder(v, Value(2), b), 0, b); }},
    {"divisibleby", 1,
     [](const Value& v, A a, Budget& b) { return equals_integer(remainder(v, first(a), b), 0, b); }},
    {"sameas", 1, [](const Value& v, A a, Budget& b) { return is_same(v, first(a), b); }},
    {"filter", 0, [](const Value& v, A, Budget&) { return v.is_string() && is_filter(v.string()); }},
    {"test", 0, [](const Value& v, A, Budget&) { return v.is_string() && is_test(v.string()); }},
    {"in", 1, compare_with<In>},
    {"==", 1, compare_with<Equal>},
    {"eq", 1, compare_with<Equal>},
    {"equalto", 1, compare_with<Equal>},
    {"!=", 1, compare_with<Unequal>},
    {"ne", 1, compare_with<Unequal>},
    {"<", 1, compare_with<Less>},
    {"lt", 1, compare_with<Less>},
    {"lessthan", 1, compare_with<Less>},
    {"<=", 1, compare_with<LessOrEqual>},
    {"le", 1, compare_with<LessOrEqual>},
    {">", 1, compare_with<Greater>},
    {"gt", 1, compare_with<Greater>},
    {"greaterthan", 1, compare_with<Greater>},
    {">=", 1, compare_with<GreaterOrEqual>},
    {"ge", 1, compare_with<GreaterOrEqual>},
}};

const TestEntry* find_test(std::string_view name) {
  const auto* found =
      std::find_if(kTests.begin(), kTests.end(), [&](const TestEntry& entry) { return entry.name == name; });
  return found == kTests.end() ? nullptr : found;
}

}  // namespace

bool is_test(std::string_view name) { return find_test(name) != nullptr; }

bool apply_test(Interpreter& interpreter, std::string_view name, const Value& value,
                const CallArguments& arguments) {
  const TestEntry* entry = find_test(name);
  if (entry == nullptr) raise("TemplateRuntimeError", "No test named " + quote(name) + ".");
  CallArguments given = arguments;
  for (auto& [key, argument] : given.named) given.positional.push_back(std::move(argument));
  given.named.clear();
  if (given.positional.size() != entry->arguments) {
    raise_type_error("test_" + std::string(name) + "() takes " + std::to_string(entry->arguments + 1) +
                     " positional argument" + (entry->arguments == 0 ? "" : "s") + " but " +
                     std::to_string(given.positional.size() + 1) + " were given");
  }
  interpreter.budget().spend();
  return entry->apply(value, given, interpreter.budget());
}

}  // namespace touchstone::jinja
