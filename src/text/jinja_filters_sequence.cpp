// Filters of sequences and dicts.
#include <algorithm>
#include <functional>
#include <unordered_set>

#include "text/jinja_builtins.h"
#include "text/jinja_int.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"

namespace touchstone::jinja {
namespace {

using Getter = std::function<Value(const Value&)>;

/// "a.b.0" as the keys that lead to the value; none for no attribute at all.
std::vector<Value> attribute_path(const Value& attribute) {
  if (attribute.is_none()) return {};
  if (!attribute.is_string()) return {attribute};
  std::vector<Value> path;
  std::string_view rest = attribute.string();
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    const bool number =
        !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    path.push_back(number ? parse_integer(part, 10).value_or(Value(part)) : Value(part));
    if (dot == std::string_view::npos) return path;
    rest.remove_prefix(dot + 1);
  }
}

Getter make_getter(Interpreter& in, const Value& attribute, const Value& fallback = {},
                   bool ignore_case = false) {
  return [&in, path = attribute_path(attribute), fallback, ignore_case](const Value& item) {
    Value value = item;
    for (const Value& part : path) {
      in.budget().spend();
      value = in.get_item(value, part);
      if (value.is_undefined() && !fallback.is_none()) value = fallback;
    }
    if (ignore_case && value.is_string()) {
      in.budget().scan(value.string().size());
      value = Value(to_lower(value.string()));
    }
    return value;
  };
}

std::vector<Value> items_of(Interpreter& in, const Value& value) { return iterate(value, in.budget()); }

Value make_generator(Interpreter& in, std::vector<Value> items) {
  return make_iterator("generator", std::move(items), in.budget());
}

// ---- order ----

using Keyed = std::pair<std::vector<Value>, Value>;

/// By one key: with "<". By a list of keys: by the first in which they differ.
void sort_by_key(Interpreter& in, std::vector<Keyed>& items, bool reverse, bool one_key) {
  const auto less = [&](const Keyed& left, const Keyed& right) {
    if (one_key) return compare(left.first[0], right.first[0], "<", in.budget()) < 0;
    for (std::size_t i = 0; i < left.first.size(); ++i) {
      if (equal(left.first[i], right.first[i], in.budget())) continue;
      return compare(left.first[i], right.first[i], "<", in.budget()) < 0;
    }
    return false;
  };
  // As Python: items with equal keys keep their order in both directions.
  if (reverse) {
    std::stable_sort(items.begin(), items.end(),
                     [&](const Keyed& left, const Keyed& right) { return less(right, left); });
  } else {
    std::stable_sort(items.begin(), items.end(), less);
  }
}

std::vector<Value> take_values(std::vector<Keyed> items) {
  std::vector<Value> values;
  values.reserve(items.size());
  for (Keyed& item : items) values.push_back(std::move(item.second));
  return values;
}

Value sort(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const bool ignore_case = !bound.flag(1);
  std::vector<Getter> getters;
  const Value attribute = bound.get(2, Value());
  if (attribute.is_string()) {
    std::string_view rest = attribute.string();
    while (true) {
      const std::size_t comma = rest.find(',');
      getters.push_back(make_getter(in, Value(rest.substr(0, comma)), {}, ignore_case));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    getters.push_back(make_getter(in, attribute, {}, ignore_case));
  }
  std::vector<Keyed> items;
  for (Value& item : items_of(in, value)) {
    std::vector<Value> keys;
    keys.reserve(getters.size());
    for (const Getter& getter : getters) keys.push_back(getter(item));
    items.emplace_back(std::move(keys), std::move(item));
  }
  sort_by_key(in, items, bound.flag(0), false);
  return make_list(take_values(std::move(items)), in.budget());
}

Value sort_dict(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const std::string by =
      bound.has(1) && bound[1].is_string() ? bound[1].string() : (bound.has(1) ? "" : "key");
  if (by != "key" && by != "value")
    raise("FilterArgumentError", "You can only sort by either \"key\" or \"value\"");
  require_defined(value);
  if (!value.is_dict()) raise("AttributeError", "'" + type_name(value) + "' object has no attribute 'items'");
  const Getter getter = make_getter(in, Value(), {}, !bound.flag(0));
  std::vector<Keyed> items;
  for (const auto& [key, item] : value.dict().entries()) {
    items.emplace_back(std::vector<Value>{getter(by == "key" ? key : item)},
                       make_tuple({key, item}, in.budget()));
  }
  sort_by_key(in, items, bound.flag(2), true);
  return make_list(take_values(std::move(items)), in.budget());
}

template <bool kMax>
Value extreme(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const Getter getter = make_getter(in, bound.get(1, Value()), {}, !bound.flag(0));
  const std::vector<Value> items = items_of(in, value);
  if (items.empty()) return make_undefined("No aggregated item, sequence was empty.");
  Value best = items.front(), best_key = getter(best);
  for (std::size_t i = 1; i < items.size(); ++i) {
    Value key = getter(items[i]);
    const int order = compare(key, best_key, kMax ? ">" : "<", in.budget());
    if (kMax ? order <= 0 : order >= 0) continue;
    best = items[i];
    best_key = std::move(key);
  }
  return best;
}

Value unique(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const Getter getter = make_getter(in, bound.get(1, Value()), {}, !bound.flag(0));
  std::unordered_set<std::string> seen;
  std::vector<Value> kept;
  for (Value& item : items_of(in, value)) {
    std::string key = hash_key(getter(item));
    in.budget().make(key.size());
    if (seen.insert(std::move(key)).second) kept.push_back(std::move(item));
  }
  return make_generator(in, std::move(kept));
}

Value group_by(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const Value fallback = bound.get(1, Value());
  const bool ignore_case = !bound.flag(2);
  const Getter sort_getter = make_getter(in, bound[0], fallback, ignore_case);
  const Getter name_getter = make_getter(in, bound[0], fallback, false);
  std::vector<Keyed> items;
  for (Value& item : items_of(in, value)) {
    Value key = sort_getter(item);
    items.emplace_back(std::vector<Value>{std::move(key)}, std::move(item));
  }
  sort_by_key(in, items, false, true);
  std::vector<Value> groups;
  for (std::size_t begin = 0; begin < items.size();) {
    std::size_t end = begin;
    std::vector<Value> members;
    while (end < items.size() && equal(items[end].first[0], items[begin].first[0], in.budget())) {
      members.push_back(items[end++].second);
    }
    Value name = name_getter(items[begin].second);
    Sequence pair;
    pair.items = {std::move(name), make_list(std::move(members), in.budget())};
    pair.depth = depth_above(pair.items);
    pair.is_group = true;
    groups.emplace_back(TupleRef{std::make_shared<const Sequence>(std::move(pair))});
    begin = end;
  }
  return make_list(std::move(groups), in.budget());
}

// ---- choosing and mapping ----

Value map(Interpreter& in, const Value& value, const CallArguments& arguments) {
  if (!truthy(value)) return make_generator(in, {});
  std::vector<Value> results;
  if (arguments.positional.empty() && arguments.find("attribute") != nullptr) {
    for (const auto& [name, argument] : arguments.named) {
      if (name != "attribute" && name != "default") {
        raise("FilterArgumentError", "Unexpected keyword argument " + quote(name));
      }
    }
    const Value* fallback = arguments.find("default");
    const Getter getter =
        make_getter(in, *arguments.find("attribute"), fallback != nullptr ? *fallback : Value());
    for (const Value& item : items_of(in, value)) results.push_back(getter(item));
    return make_generator(in, std::move(results));
  }
  if (arguments.positional.empty()) raise("FilterArgumentError", "map requires a filter argument");
  const std::vector<Value> items = items_of(in, value);
  const Value& name_value = arguments.positional.front();
  if (!name_value.is_string()) {
    raise("TemplateRuntimeError", "No filter named " + to_repr(name_value, in.budget()) + ".");
  }
  const std::string& name = name_value.string();
  CallArguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  const DepthGuard guard(in.budget());  // map('map', 'map', …)
  for (const Value& item : items) results.push_back(apply_filter(in, name, item, rest));
  return make_generator(in, std::move(results));
}

Value choose(Interpreter& in, const Value& value, const CallArguments& arguments, bool keep,
             bool by_attribute) {
  if (!truthy(value)) return make_generator(in, {});
  CallArguments rest = arguments;
  Getter getter = [](const Value& item) { return item; };
  if (by_attribute) {
    if (rest.positional.empty()) raise("FilterArgumentError", "Missing parameter for attribute name");
    getter = make_getter(in, rest.positional.front());
    rest.positional.erase(rest.positional.begin());
  }
  std::string test;
  if (!rest.positional.empty()) {
    test = require_string(rest.positional.front(), "test name");
    rest.positional.erase(rest.positional.begin());
  }
  std::vector<Value> kept;
  for (Value& item : items_of(in, value)) {
    const Value tested = getter(item);
    const bool passes = test.empty() ? truthy(tested) : apply_test(in, test, tested, rest);
    if (passes == keep) kept.push_back(std::move(item));
  }
  return make_generator(in, std::move(kept));
}

template <bool kKeep, bool kByAttribute>
Value filter_items(Interpreter& in, const Value& value, const CallArguments& arguments) {
  return choose(in, value, arguments, kKeep, kByAttribute);
}

// ---- shape ----

Value first(Interpreter& in, const Value& value, const BoundArguments&) {
  if (const auto iterator = value.as<IteratorObject>(); iterator && iterator->next < iterator->items.size()) {
    return iterator->items[iterator->next++];
  }
  if (value.is_string() && !value.string().empty()) return in.get_item(value, Value(0));
  const std::vector<Value> items = items_of(in, value);
  return items.empty() ? make_undefined("No first item, sequence was empty.") : items.front();
}

Value last(Interpreter& in, const Value& value, const BoundArguments&) {
  if (value.as<IteratorObject>()) raise_type_error("'" + type_name(value) + "' object is not reversible");
  if (!is_iterable(value)) raise_type_error("'" + type_name(value) + "' object is not reversible");
  const std::vector<Value> items = items_of(in, value);
  return items.empty() ? make_undefined("No last item, sequence was empty.") : items.back();
}

Value random_item(Interpreter& in, const Value& value, const BoundArguments&) {
  // A template renders the same text each time: of all items, the first.
  const std::vector<Value> items = items_of(in, value);
  return items.empty() ? make_undefined("No random item, sequence was empty.") : items.front();
}

Value count(Interpreter& in, const Value& value, const CallArguments& arguments) {
  if (!arguments.named.empty()) raise_type_error("len() takes no keyword arguments");
  if (!arguments.positional.empty()) {
    raise_type_error("len() takes exactly one argument (" + std::to_string(arguments.positional.size() + 1) +
                     " given)");
  }
  if (value.is_string()) in.budget().scan(value.string().size());
  if (const auto loop = value.as<LoopObject>()) return {static_cast<std::int64_t>(loop->items.size())};
  return {length(value)};
}

Value to_list(Interpreter& in, const Value& value, const BoundArguments&) {
  return make_list(items_of(in, value), in.budget());
}

Value reverse(Interpreter& in, const Value& value, const BoundArguments&) {
  if (value.is_string()) return take_slice(value, {}, {}, Value(-1), in.budget());
  if (!is_iterable(value)) raise("FilterArgumentError", "argument must be iterable");
  std::vector<Value> items = items_of(in, value);
  std::reverse(items.begin(), items.end());
  if (value.as<IteratorObject>()) return make_list(std::move(items), in.budget());
  const bool is_list = value.is(Kind::list);
  return make_iterator(is_list ? "list_reverseiterator" : "reversed", std::move(items), in.budget());
}

Value join(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const Getter getter = make_getter(in, bound.get(1, Value()));
  std::vector<Value> items = items_of(in, value);
  const Value separator = bound.get(0, Value(""));
  if (bound.has_value(1)) {
    for (Value& item : items) item = getter(item);
  }
  const bool markup = in.autoescape() && (separator.is_markup() ||
                                          std::any_of(items.begin(), items.end(),
                                                      [](const Value& item) { return item.is_markup(); }));
  const auto text_of = [&](const Value& item) {
    return markup ? to_markup(item, in.budget()) : to_str(item, in.budget());
  };
  const std::string between = text_of(separator);
  std::string result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string piece = text_of(items[i]);
    in.budget().make(piece.size() + between.size());
    if (i > 0) result += between;
    result += piece;
  }
  return {std::move(result), markup};
}

Value batch(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(bound.integer(0, 1), 0));
  std::vector<Value> batches, current;
  for (Value& item : items_of(in, value)) {
    if (current.size() == size) {
      batches.push_back(make_list(std::move(current), in.budget()));
      current.clear();
    }
    current.push_back(std::move(item));
  }
  if (!current.empty()) {
    if (bound.has_value(1) && current.size() < size) {
      in.budget().make(std::min<std::uint64_t>(size - current.size(), std::uint64_t{1} << 40U) *
                       sizeof(Value));
      current.resize(size, bound[1]);
    }
    batches.push_back(make_list(std::move(current), in.budget()));
  }
  return make_generator(in, std::move(batches));
}

Value slice(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const std::vector<Value> items = items_of(in, value);
  const std::int64_t slices = bound.integer(0, 1);
  if (slices == 0) raise("ZeroDivisionError", "integer division or modulo by zero");
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(slices, 0));
  std::vector<Value> result;
  for (std::size_t i = 0, begin = 0; i < count; ++i) {
    const bool extra = i < items.size() % count;
    const std::size_t size = items.size() / count + (extra ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<std::ptrdiff_t>(begin),
                            items.begin() + static_cast<std::ptrdiff_t>(begin + size));
    if (bound.has_value(1) && !extra) part.push_back(bound[1]);
    result.push_back(make_list(std::move(part), in.budget()));
    begin += size;
  }
  return make_generator(in, std::move(result));
}

Value sum(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const Getter getter = make_getter(in, bound.get(0, Value()));
  Value total = bound.get(1, Value(0));
  if (total.is_string()) raise_type_error("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : items_of(in, value)) {
    in.budget().spend();
    total = apply_binary(ExprKind::add, total, getter(item), in.budget());
  }
  return total;
}

Value dict_items(Interpreter& in, const Value& value, const BoundArguments&) {
  if (value.is_undefined()) return make_generator(in, {});
  if (!value.is_dict()) raise_type_error("Can only get item pairs from a mapping.");
  return make_generator(in, items_of(in, call_method(in, value, "items", {})));
}

Value attribute(Interpreter& in, const Value& value, const BoundArguments& bound) {
  if (!bound[0].is_string()) {
    raise_type_error("attribute name must be string, not '" + type_name(bound[0]) + "'");
  }
  const std::string& name = bound[0].string();
  // Attributes only, never items: a dict's members are not among them.
  if (value.is_dict() && !has_method(value, name)) {
    return make_undefined(quote(describe_owner(value)) + " has no attribute " + quote(name));
  }
  return in.get_attribute(value, name);
}

Value fall_back(Interpreter&, const Value& value, const BoundArguments& bound) {
  const bool missing = value.is_undefined() || (bound.flag(1) && !truthy(value));
  return missing ? bound.get(0, Value("")) : value;
}

}  // namespace

const std::vector<FilterEntry>& sequence_filters() {
  static const auto* const entries = new std::vector<FilterEntry>{
      {"sort", "do_sort", "reverse,case_sensitive,attribute", 0, sort, nullptr},
      {"dictsort", "do_dictsort", "case_sensitive,by,reverse", 0, sort_dict, nullptr},
      {"min", "do_min", "case_sensitive,attribute", 0, extreme<false>, nullptr},
      {"max", "do_max", "case_sensitive,attribute", 0, extreme<true>, nullptr},
      {"unique", "sync_do_unique", "case_sensitive,attribute", 0, unique, nullptr},
      {"groupby", "sync_do_groupby", "attribute,default,case_sensitive", 1, group_by, nullptr},
      {"map", "sync_do_map", "", 0, nullptr, map},
      {"select", "sync_do_select", "", 0, nullptr, filter_items<true, false>},
      {"reject", "sync_do_reject", "", 0, nullptr, filter_items<false, false>},
      {"selectattr", "sync_do_selectattr", "", 0, nullptr, filter_items<true, true>},
      {"rejectattr", "sync_do_rejectattr", "", 0, nullptr, filter_items<false, true>},
      {"first", "sync_do_first", "", 0, first, nullptr},
      {"last", "do_last", "", 0, last, nullptr},
      {"random", "do_random", "", 0, random_item, nullptr},
      {"length", "len", "", 0, nullptr, count},
      {"count", "len", "", 0, nullptr, count},
      {"list", "sync_do_list", "", 0, to_list, nullptr},
      {"reverse", "do_reverse", "", 0, reverse, nullptr},
      {"join", "sync_do_join", "d,attribute", 0, join, nullptr},
      {"batch", "do_batch", "linecount,fill_with", 1, batch, nullptr},
      {"slice", "sync_do_slice", "slices,fill_with", 1, slice, nullptr},
      {"sum", "sync_do_sum", "attribute,start", 0, sum, nullptr},
      {"items", "do_items", "", 0, dict_items, nullptr},
      {"attr", "do_attr", "name", 1, attribute, nullptr},
      {"default", "do_default", "default_value,boolean", 0, fall_back, nullptr},
      {"d", "do_default", "default_value,boolean", 0, fall_back, nullptr},
  };
  return *entries;
}

}  // namespace touchstone::jinja
