#include "text/jinja_value.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja_int.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"
#include "text/unicode.h"

namespace touchstone::jinja {

void raise(std::string_view type, std::string message) {
  throw Raised(std::string(type), std::move(message));
}
void raise_type_error(std::string message) { raise("TypeError", std::move(message)); }
void raise_value_error(std::string message) { raise("ValueError", std::move(message)); }
void raise_limit(std::string message) { raise("LimitError", std::move(message)); }

void Budget::spend(std::uint64_t count) {
  steps += count;
  if (steps > limits.steps || steps < count) {
    raise_limit("the template takes more than " + std::to_string(limits.steps) + " steps");
  }
}

void Budget::make(std::uint64_t count) {
  bytes += count;
  if (bytes > limits.output_bytes || bytes < count) {
    raise_limit("the template makes more than " + std::to_string(limits.output_bytes) +
                " bytes of text and values");
  }
}

const std::vector<Value>& Value::items() const { return sequence()->items; }

const std::shared_ptr<const Sequence>& Value::sequence() const {
  if (const auto* list = std::get_if<ListRef>(&data_)) return list->items;
  return std::get<TupleRef>(data_).items;
}

namespace {

__extension__ using Wide = __int128;  // differences of 64-bit integers

}  // namespace

std::int64_t RangeObject::size() const {
  const Wide span = step > 0 ? Wide{stop} - start : Wide{start} - stop;
  const Wide stride = step > 0 ? Wide{step} : -Wide{step};
  if (span <= 0) return 0;
  return static_cast<std::int64_t>(
      std::min<Wide>((span - 1) / stride + 1, std::numeric_limits<std::int64_t>::max()));
}

// ---- dict ----

namespace {

constexpr std::size_t kScannedEntries = 8;  // up to here a scan is as fast as an index

constexpr std::size_t kMaxKeyBytes = std::size_t{1} << 20U;  // of a tuple

std::string string_key(std::string_view text) { return "s" + std::string(text); }

}  // namespace

std::string hash_key(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return "u";
    case Kind::none:
      return "n";
    case Kind::boolean:
    case Kind::integer:
    case Kind::big_integer:
      return "i" + integer_to_text(value);
    case Kind::real:
      if (std::isfinite(value.real()) && value.real() == std::trunc(value.real())) {
        return "i" + integer_to_text(integer_from_real(value.real()));
      }
      return "f" + real_to_text(value.real());
    case Kind::string:
      return string_key(value.string());
    case Kind::tuple: {
      std::string key = "t";
      for (const Value& item : value.items()) {
        const std::string part = hash_key(item);
        key += std::to_string(part.size()) + ":" + part;
        // Tuples that share their items would double at each level.
        if (key.size() > kMaxKeyBytes)
          raise_limit("a dict key of more than " + std::to_string(kMaxKeyBytes) + " bytes");
      }
      return key;
    }
    case Kind::object:
      return "o" + std::to_string(reinterpret_cast<std::uintptr_t>(value.object().get()));
    case Kind::list:
    case Kind::dict:
      break;
  }
  raise_type_error("unhashable type: '" + type_name(value) + "'");
}

const Value* Dict::find(std::string_view key) const {
  if (!index_.empty()) {
    const auto found = index_.find(string_key(key));
    return found == index_.end() ? nullptr : &entries_[found->second].second;
  }
  for (const Entry& entry : entries_) {
    if (entry.first.is_string() && entry.first.string() == key) return &entry.second;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (key.is_string()) return find(std::string_view(key.string()));
  const std::string hashed = hash_key(key);
  if (!index_.empty()) {
    const auto found = index_.find(hashed);
    return found == index_.end() ? nullptr : &entries_[found->second].second;
  }
  for (const Entry& entry : entries_) {
    if (!entry.first.is_string() && hash_key(entry.first) == hashed) return &entry.second;
  }
  return nullptr;
}

void Dict::set(const Value& key, Value value) {
  depth_ = std::max({depth_, depth_of(key) + 1, depth_of(value) + 1});
  if (depth_ > kMaxValueDepth) raise_limit("values nested deeper than " + std::to_string(kMaxValueDepth));
  if (const Value* found = find(key)) {
    *const_cast<Value*>(found) = std::move(value);  // it is an element of this object's own entries_
    return;
  }
  entries_.emplace_back(key, std::move(value));
  if (!index_.empty()) {
    index_.emplace(hash_key(key), entries_.size() - 1);
  } else if (entries_.size() > kScannedEntries) {
    for (std::size_t i = 0; i < entries_.size(); ++i) index_.emplace(hash_key(entries_[i].first), i);
  }
}

// ---- construction ----

int depth_of(const Value& value) {
  switch (value.kind()) {
    case Kind::list:
    case Kind::tuple:
      return value.sequence()->depth;
    case Kind::dict:
      return value.dict().depth();
    case Kind::object:
      return value.object()->depth;
    default:
      return 0;
  }
}

int depth_above(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, depth_of(item));
  if (depth >= kMaxValueDepth) raise_limit("values nested deeper than " + std::to_string(kMaxValueDepth));
  return depth + 1;
}

namespace {

std::shared_ptr<const Sequence> make_sequence(std::vector<Value> items, Budget& budget) {
  budget.make(sizeof(Sequence) + items.size() * sizeof(Value));
  auto sequence = std::make_shared<Sequence>();
  sequence->depth = depth_above(items);
  sequence->items = std::move(items);
  return sequence;
}

}  // namespace

Value make_list(std::vector<Value> items, Budget& budget) {
  return Value(ListRef{make_sequence(std::move(items), budget)});
}

Value make_tuple(std::vector<Value> items, Budget& budget) {
  return Value(TupleRef{make_sequence(std::move(items), budget)});
}

Value make_dict(Dict dict) { return Value(DictRef(std::make_shared<const Dict>(std::move(dict)))); }

Value make_iterator(std::string type, std::vector<Value> items, Budget& budget) {
  budget.make(sizeof(IteratorObject) + items.size() * sizeof(Value));
  const int depth = depth_above(items);
  auto iterator = std::make_shared<IteratorObject>(std::move(type), std::move(items));
  iterator->depth = depth;
  return Value(ObjectRef(std::move(iterator)));
}

Value make_undefined(std::string message) {
  return Value(UndefinedRef{
      std::make_shared<const UndefinedInfo>(UndefinedInfo{"UndefinedError", std::move(message)})});
}

Value from_json(const boost::json::value& json, Budget& budget) {
  budget.spend();
  switch (json.kind()) {
    case boost::json::kind::null:
      return {};
    case boost::json::kind::bool_:
      return {json.get_bool()};
    case boost::json::kind::int64:
      return {std::int64_t{json.get_int64()}};
    case boost::json::kind::uint64:
      return integer_from_uint64(json.get_uint64());
    case boost::json::kind::double_:
      return {json.get_double()};
    case boost::json::kind::string:
      return {std::string(json.get_string())};
    case boost::json::kind::array: {
      std::vector<Value> items;
      items.reserve(json.get_array().size());
      for (const auto& item : json.get_array()) items.push_back(from_json(item, budget));
      return make_list(std::move(items), budget);
    }
    case boost::json::kind::object: {
      Dict dict;
      for (const auto& [key, value] : json.get_object())
        dict.set(Value(std::string(key)), from_json(value, budget));
      return make_dict(std::move(dict));
    }
  }
  return {};
}

// ---- properties ----

namespace {

std::string object_type_name(const Object& object) {
  switch (object.kind) {
    case ObjectKind::name_space:
      return "TemplateNamespace";
    case ObjectKind::macro:
      return "Macro";
    case ObjectKind::method:
      return "builtin_function_or_method";
    case ObjectKind::function:
      return "function";
    case ObjectKind::iterator:
      return static_cast<const IteratorObject&>(object).type;
    case ObjectKind::range:
      return "range";
    case ObjectKind::dict_view:
      switch (static_cast<const DictViewObject&>(object).part) {
        case DictViewObject::Part::keys:
          return "dict_keys";
        case DictViewObject::Part::values:
          return "dict_values";
        case DictViewObject::Part::items:
          return "dict_items";
      }
      return "dict_items";
    case ObjectKind::loop:
      return "LoopContext";
    case ObjectKind::cycler:
      return "Cycler";
    case ObjectKind::joiner:
      return "Joiner";
    case ObjectKind::template_reference:
      return "TemplateReference";
  }
  return "object";
}

}  // namespace

std::string type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
    case Kind::big_integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return value.is_markup() ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return value.sequence()->is_group ? "_GroupTuple" : "tuple";
    case Kind::dict:
      return "dict";
    case Kind::object:
      return object_type_name(*value.object());
  }
  return "object";
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean();
    case Kind::integer:
      return value.integer() != 0;
    case Kind::big_integer:
      return true;
    case Kind::real:
      return value.real() != 0;
    case Kind::string:
      return !value.string().empty();
    case Kind::list:
    case Kind::tuple:
      return !value.items().empty();
    case Kind::dict:
      return value.dict().size() != 0;
    case Kind::object:
      if (const auto range = value.as<RangeObject>()) return range->size() != 0;
      if (const auto view = value.as<DictViewObject>()) return view->dict->size() != 0;
      return true;
  }
  return true;
}

std::int64_t length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return static_cast<std::int64_t>(count_codepoints(value.string()));
    case Kind::list:
    case Kind::tuple:
      return static_cast<std::int64_t>(value.items().size());
    case Kind::dict:
      return static_cast<std::int64_t>(value.dict().size());
    case Kind::object:
      if (const auto range = value.as<RangeObject>()) return range->size();
      if (const auto view = value.as<DictViewObject>()) return static_cast<std::int64_t>(view->dict->size());
      break;
    default:
      break;
  }
  raise_type_error("object of type '" + type_name(value) + "' has no len()");
}

void require_defined(const Value& value) {
  if (value.is_undefined()) raise(value.undefined().type, value.undefined().message);
}

bool is_callable(const Value& value) {
  if (value.is_undefined()) return true;  // Undefined has __call__, which raises
  if (!value.is(Kind::object)) return false;
  switch (value.object()->kind) {
    case ObjectKind::macro:
    case ObjectKind::method:
    case ObjectKind::function:
    case ObjectKind::loop:
    case ObjectKind::joiner:
      return true;
    default:
      return false;
  }
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
      return true;
    case Kind::object:
      switch (value.object()->kind) {
        case ObjectKind::iterator:
        case ObjectKind::range:
        case ObjectKind::dict_view:
        case ObjectKind::loop:
          return true;
        default:
          return false;
      }
    default:
      return false;
  }
}

// ---- iteration ----

namespace {

std::vector<Value> characters_of(std::string_view text, Budget& budget) {
  budget.make(text.size() * (sizeof(Value) + sizeof(std::string)));
  std::vector<Value> characters;
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t begin = position;
    next_char(text, position);
    characters.emplace_back(text.substr(begin, position - begin));
  }
  return characters;
}

std::vector<Value> view_items(const DictViewObject& view, Budget& budget) {
  std::vector<Value> items;
  items.reserve(view.dict->size());
  for (const auto& [key, value] : view.dict->entries()) {
    switch (view.part) {
      case DictViewObject::Part::keys:
        items.push_back(key);
        break;
      case DictViewObject::Part::values:
        items.push_back(value);
        break;
      case DictViewObject::Part::items:
        items.push_back(make_tuple({key, value}, budget));
        break;
    }
  }
  return items;
}

std::vector<Value> range_items(const RangeObject& range, Budget& budget) {
  const std::int64_t size = range.size();
  budget.make(static_cast<std::uint64_t>(size) * sizeof(Value));
  std::vector<Value> items;
  items.reserve(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) items.emplace_back(range.start + i * range.step);
  return items;
}

}  // namespace

std::vector<Value> iterate(const Value& value, Budget& budget) {
  switch (value.kind()) {
    case Kind::undefined:
      return {};
    case Kind::string:
      return characters_of(value.string(), budget);
    case Kind::list:
    case Kind::tuple:
      budget.scan(value.items().size() * sizeof(Value));
      return value.items();
    case Kind::dict: {
      budget.scan(value.dict().size() * sizeof(Value));
      std::vector<Value> keys;
      for (const auto& entry : value.dict().entries()) keys.push_back(entry.first);
      return keys;
    }
    case Kind::object:
      if (const auto range = value.as<RangeObject>()) return range_items(*range, budget);
      if (const auto view = value.as<DictViewObject>()) return view_items(*view, budget);
      if (const auto iterator = value.as<IteratorObject>()) {
        budget.scan(iterator->items.size() * sizeof(Value));
        std::vector<Value> rest(iterator->items.begin() + static_cast<std::ptrdiff_t>(iterator->next),
                                iterator->items.end());
        iterator->next = iterator->items.size();
        return rest;
      }
      break;
    default:
      break;
  }
  raise_type_error("'" + type_name(value) + "' object is not iterable");
}

}  // namespace touchstone::jinja
