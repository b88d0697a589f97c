// Methods of lists, tuples, dicts, numbers, ranges and cyclers.
#include <algorithm>
#include <array>
#include <cmath>

#include "text/jinja_builtins.h"
#include "text/jinja_int.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"

namespace touchstone::jinja {
namespace {

struct Method {
  Interpreter& interpreter;
  const Value& self;
  std::string_view name;
  const CallArguments& arguments;
  Budget& budget() const { return interpreter.budget(); }
  BoundArguments bind(std::string_view parameters, std::size_t required = 0) const {
    return bind_positional(type_name(self), name, parameters, required, arguments);
  }
};

struct Entry {
  std::string_view name;
  Value (*apply)(const Method&);
};

// ---- sequences ----

Value count_items(const Method& m) {
  const BoundArguments bound = m.bind("value", 1);
  const std::vector<Value> items = iterate(m.self, m.budget());
  return {static_cast<std::int64_t>(std::count_if(
      items.begin(), items.end(), [&](const Value& item) { return equal(item, bound[0], m.budget()); }))};
}

Value find_index(const Method& m) {
  const bool in_range = m.self.is(Kind::object);
  const BoundArguments bound = m.bind(in_range ? "value" : "value,start,stop", 1);
  const std::vector<Value> items = iterate(m.self, m.budget());
  const auto size = static_cast<std::int64_t>(items.size());
  const auto place = [&](std::size_t index, std::int64_t fallback) {
    const std::int64_t given = !in_range && bound.has(index) ? require_index(bound[index]) : fallback;
    return std::clamp<std::int64_t>(given < 0 ? (given < -size ? 0 : given + size) : given, 0, size);
  };
  for (std::int64_t i = place(1, 0); i < place(2, size); ++i) {
    if (equal(items[static_cast<std::size_t>(i)], bound[0], m.budget())) return {i};
  }
  if (m.self.is(Kind::tuple)) raise_value_error("tuple.index(x): x not in tuple");
  if (in_range && !bound[0].is_integer()) raise_value_error("sequence.index(x): x not in sequence");
  raise_value_error(to_repr(bound[0], m.budget()) + " is not in " + type_name(m.self));
}

Value copy(const Method& m) {
  m.bind("");
  return m.self;  // nothing can change it: it is as good as a copy
}

constexpr std::array<Entry, 3> kListMethods = {
    {{"count", count_items}, {"index", find_index}, {"copy", copy}}};
constexpr std::array<Entry, 2> kTupleMethods = {{{"count", count_items}, {"index", find_index}}};

// ---- dicts ----

template <DictViewObject::Part kPart>
Value view(const Method& m) {
  m.bind("");
  m.budget().make(sizeof(DictViewObject));
  auto object = std::make_shared<DictViewObject>(m.self.dict_ref(), kPart);
  object->depth = depth_above({m.self});
  return {ObjectRef(std::move(object))};
}

Value get(const Method& m) {
  const BoundArguments bound = m.bind("key,default", 1);
  if (bound[0].is_string()) m.budget().scan(bound[0].string().size());
  const Value* found = m.self.dict().find(bound[0]);
  return found != nullptr ? *found : bound.get(1, Value());
}

Value from_keys(const Method& m) {
  const BoundArguments bound = m.bind("iterable,value", 1);
  Dict dict;
  for (const Value& key : iterate(bound[0], m.budget())) {
    m.budget().make(sizeof(Dict::Entry));
    dict.set(key, bound.get(1, Value()));
  }
  return make_dict(std::move(dict));
}

constexpr std::array<Entry, 6> kDictMethods = {{{"items", view<DictViewObject::Part::items>},
                                                {"keys", view<DictViewObject::Part::keys>},
                                                {"values", view<DictViewObject::Part::values>},
                                                {"get", get},
                                                {"copy", copy},
                                                {"fromkeys", from_keys}}};

// ---- numbers ----

Value count_bits(const Method& m) {
  m.bind("");
  const std::string bits = integer_to_text(m.self, 2);
  const auto digits = static_cast<std::int64_t>(bits.size()) - (bits.front() == '-' ? 1 : 0);
  return {is_zero(m.self) ? 0 : digits};
}

Value is_whole_real(const Method& m) {
  m.bind("");
  return {std::isfinite(m.self.real()) && m.self.real() == std::trunc(m.self.real())};
}

Value conjugate(const Method& m) {
  m.bind("");
  return identity(m.self);
}

constexpr std::array<Entry, 2> kIntegerMethods = {{{"bit_length", count_bits}, {"conjugate", conjugate}}};
constexpr std::array<Entry, 2> kRealMethods = {{{"is_integer", is_whole_real}, {"conjugate", conjugate}}};

// ---- cyclers ----

Value advance(const Method& m) {
  const auto cycler = m.self.as<CyclerObject>();
  const std::size_t at = cycler->position;
  cycler->position = (at + 1) % cycler->items.size();
  return cycler->items[at];
}

Value reset(const Method& m) {
  m.self.as<CyclerObject>()->position = 0;
  return {};
}

constexpr std::array<Entry, 2> kCyclerMethods = {{{"next", advance}, {"reset", reset}}};

template <std::size_t N>
const Entry* find_in(const std::array<Entry, N>& methods, std::string_view name) {
  const auto* found =
      std::find_if(methods.begin(), methods.end(), [&](const Entry& entry) { return entry.name == name; });
  return found == methods.end() ? nullptr : found;
}

const Entry* find_entry(const Value& value, std::string_view name) {
  switch (value.kind()) {
    case Kind::list:
      return find_in(kListMethods, name);
    case Kind::tuple:
      return find_in(kTupleMethods, name);
    case Kind::dict:
      return find_in(kDictMethods, name);
    case Kind::boolean:
    case Kind::integer:
    case Kind::big_integer:
      return find_in(kIntegerMethods, name);
    case Kind::real:
      return find_in(kRealMethods, name);
    case Kind::object:
      if (value.as<RangeObject>()) return find_in(kTupleMethods, name);
      if (value.as<CyclerObject>()) return find_in(kCyclerMethods, name);
      if (const auto function = value.as<FunctionObject>(); function && function->name == "dict") {
        return name == "fromkeys" ? find_in(kDictMethods, name) : nullptr;
      }
      return nullptr;
    default:
      return nullptr;
  }
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
  return value.is_string() ? has_string_method(name) : find_entry(value, name) != nullptr;
}

Value call_method(Interpreter& interpreter, const Value& self, std::string_view name,
                  const CallArguments& arguments) {
  if (self.is_string()) return call_string_method(interpreter, self, name, arguments);
  return find_entry(self, name)
      ->apply({.interpreter = interpreter, .self = self, .name = name, .arguments = arguments});
}

}  // namespace touchstone::jinja
