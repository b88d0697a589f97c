// Equality, order and membership of values.
#include <algorithm>
#include <cmath>

#include "text/jinja_int.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"
#include "text/jinja_value.h"

namespace touchstone::jinja {

namespace {

double as_real(const Value& value) { return value.is(Kind::real) ? value.real() : integer_to_real(value); }

/// Both are numbers. Nothing when one is NaN.
std::optional<int> compare_numbers(const Value& left, const Value& right) {
  const bool left_real = left.is(Kind::real), right_real = right.is(Kind::real);
  if (!left_real && !right_real) return compare_integers(left, right);
  if (left_real && right_real) {
    const double a = as_real(left), b = as_real(right);
    if (std::isnan(a) || std::isnan(b)) return std::nullopt;
    return a < b ? -1 : (a > b ? 1 : 0);
  }
  const double real = left_real ? left.real() : right.real();
  if (std::isnan(real)) return std::nullopt;
  int order = 0;  // of the integer against the real
  if (std::isinf(real)) {
    order = real > 0 ? -1 : 1;
  } else {
    order = compare_with_real(left_real ? right : left, real);
  }
  return left_real ? -order : order;
}

bool equal_dicts(const Dict& left, const Dict& right, Budget& budget) {
  if (left.size() != right.size()) return false;
  for (const auto& [key, value] : left.entries()) {
    const Value* other = right.find(key);
    if (other == nullptr || !equal(value, *other, budget)) return false;
  }
  return true;
}

bool equal_items(const std::vector<Value>& left, const std::vector<Value>& right, Budget& budget) {
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (!equal(left[i], right[i], budget)) return false;
  }
  return true;
}

bool equal_objects(const Value& left, const Value& right) {
  const auto a = left.as<RangeObject>(), b = right.as<RangeObject>();
  if (!a || !b) return left.object() == right.object();
  if (a->size() != b->size()) return false;
  return a->size() == 0 || (a->start == b->start && (a->size() == 1 || a->step == b->step));
}

}  // namespace

bool equal(const Value& left, const Value& right, Budget& budget) {
  budget.spend();
  if (left.is_number() && right.is_number()) return compare_numbers(left, right) == std::optional<int>(0);
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::string:
      if (left.string().size() != right.string().size()) return false;
      budget.scan(left.string().size());
      return left.string() == right.string();
    case Kind::list:
    case Kind::tuple:
      return equal_items(left.items(), right.items(), budget);
    case Kind::dict:
      return equal_dicts(left.dict(), right.dict(), budget);
    case Kind::object:
      return equal_objects(left, right);
    default:
      return true;  // both none, both undefined
  }
}

int compare(const Value& left, const Value& right, std::string_view sign, Budget& budget) {
  budget.spend();
  require_defined(left);
  require_defined(right);
  if (left.is_number() && right.is_number()) {
    // With NaN every comparison is false: say what makes this one so.
    return compare_numbers(left, right).value_or(sign.front() == '<' ? 1 : -1);
  }
  if (left.is_string() && right.is_string()) {
    budget.scan(std::min(left.string().size(), right.string().size()));
    return left.string().compare(right.string());  // the order of UTF-8's bytes is that of code points
  }
  if (left.is_sequence() && left.kind() == right.kind()) {
    const auto &a = left.items(), &b = right.items();
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (!equal(a[i], b[i], budget)) return compare(a[i], b[i], sign, budget);
    }
    return a.size() < b.size() ? -1 : (a.size() > b.size() ? 1 : 0);
  }
  raise_type_error("'" + std::string(sign) + "' not supported between instances of '" + type_name(left) +
                   "' and '" + type_name(right) + "'");
}

namespace {

__extension__ using Wide = __int128;  // differences of 64-bit integers

bool range_contains(const RangeObject& range, const Value& item, Budget& budget) {
  if (!item.is_number()) return false;
  if (range.size() == 0) return false;
  const std::int64_t last = range.start + (range.size() - 1) * range.step;
  const Value low(std::min(range.start, last)), high(std::max(range.start, last));
  if (compare(item, low, "<", budget) < 0 || compare(item, high, ">", budget) > 0) return false;
  Value whole = item;
  if (item.is(Kind::real)) {
    if (!std::isfinite(item.real())) return false;
    whole = integer_from_real(item.real());
    if (!equal(whole, item, budget)) return false;
  }
  const Wide distance = Wide{clamp_integer(whole)} - range.start;
  return distance % range.step == 0;
}

}  // namespace

bool contains(const Value& container, const Value& item, Budget& budget) {
  switch (container.kind()) {
    case Kind::string:
      if (!item.is_string()) {
        raise_type_error("'in <string>' requires string as left operand, not " + type_name(item));
      }
      budget.scan(container.string().size());
      return find_text(container.string(), item.string()) != std::string::npos;
    case Kind::dict:
      if (item.is_string()) budget.scan(item.string().size());
      return container.dict().find(item) != nullptr;
    case Kind::list:
    case Kind::tuple: {
      const auto& items = container.items();
      return std::any_of(items.begin(), items.end(),
                         [&](const Value& candidate) { return equal(candidate, item, budget); });
    }
    case Kind::undefined:
      return false;
    case Kind::object: {
      if (const auto range = container.as<RangeObject>()) return range_contains(*range, item, budget);
      if (!is_iterable(container)) break;
      if (const auto view = container.as<DictViewObject>();
          view && view->part == DictViewObject::Part::keys) {
        return view->dict->find(item) != nullptr;
      }
      const std::vector<Value> items = iterate(container, budget);
      return std::any_of(items.begin(), items.end(),
                         [&](const Value& candidate) { return equal(candidate, item, budget); });
    }
    default:
      break;
  }
  raise_type_error("argument of type '" + type_name(container) + "' is not iterable");
}

}  // namespace touchstone::jinja
