// The values that a template computes with: Python's, as far as a template can see them. All are immutable
// but namespaces, iterators and loops, as Hugging Face's sandbox has it.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "text/chat_template.h"

namespace touchstone::jinja {

/// An exception of the template's world: "TypeError", "UndefinedError", …; or "LimitError", which is ours.
struct Raised : std::exception {
  Raised(std::string type_name, std::string text) : type(std::move(type_name)), message(std::move(text)) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string type;
  std::string message;
  int line = 0;  // in the template; 0: not known here
};

[[noreturn]] void raise(std::string_view type, std::string message);
[[noreturn]] void raise_type_error(std::string message);
[[noreturn]] void raise_value_error(std::string message);
[[noreturn]] void raise_limit(std::string message);

/// What has been spent of a rendering's limits. Everything whose cost grows with its input is charged here.
struct Budget {
  TemplateLimits limits;
  std::uint64_t steps = 0;
  std::uint64_t bytes = 0;
  int depth = 0;

  void spend(std::uint64_t count = 1);
  /// `count` bytes of text or values are about to be made.
  void make(std::uint64_t count);
  /// `size` bytes are about to be read through.
  void scan(std::uint64_t size) { spend(1 + size / kScannedBytesPerStep); }

  static constexpr std::uint64_t kScannedBytesPerStep = 32;  // about as long as evaluating a node
};

class BigInt;
class Value;
struct Sequence;
class Dict;
struct Object;

struct None {
  friend bool operator==(None, None) { return true; }
};

/// The result of a look-up that failed. Raises `type` with `message` when something is done with it.
struct UndefinedInfo {
  std::string type;
  std::string message;
};
struct UndefinedRef {
  std::shared_ptr<const UndefinedInfo> info;
};

struct Text {
  std::shared_ptr<const std::string> text;
  bool markup = false;  // what |safe and |escape make: HTML that is not to be escaped again
};
struct ListRef {
  std::shared_ptr<const Sequence> items;
};
struct TupleRef {
  std::shared_ptr<const Sequence> items;
};
using DictRef = std::shared_ptr<const Dict>;
using ObjectRef = std::shared_ptr<Object>;
using BigRef = std::shared_ptr<const BigInt>;

enum class Kind : std::uint8_t {
  undefined,
  none,
  boolean,
  integer,
  big_integer,  // only what does not fit in 64 bits
  real,
  string,
  list,
  tuple,
  dict,
  object,
};

class Value {
 public:
  using Data = std::variant<UndefinedRef, None, bool, std::int64_t, BigRef, double, Text, ListRef, TupleRef,
                            DictRef, ObjectRef>;

  Value() : data_(None{}) {}
  Value(bool value) : data_(value) {}                     // NOLINT: values convert as in Python
  Value(std::int64_t value) : data_(value) {}             // NOLINT
  Value(int value) : data_(std::int64_t{value}) {}        // NOLINT
  Value(double value) : data_(value) {}                   // NOLINT
  Value(Text value) : data_(std::move(value)) {}          // NOLINT
  Value(UndefinedRef value) : data_(std::move(value)) {}  // NOLINT
  Value(BigRef value) : data_(std::move(value)) {}        // NOLINT
  Value(ListRef value) : data_(std::move(value)) {}       // NOLINT
  Value(TupleRef value) : data_(std::move(value)) {}      // NOLINT
  Value(DictRef value) : data_(std::move(value)) {}       // NOLINT
  Value(ObjectRef value) : data_(std::move(value)) {}     // NOLINT
  Value(std::string value, bool markup = false)           // NOLINT
      : data_(Text{std::make_shared<const std::string>(std::move(value)), markup}) {}
  Value(std::string_view value) : Value(std::string(value)) {}  // NOLINT
  Value(const char* value) : Value(std::string(value)) {}       // NOLINT

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  bool is_undefined() const { return is(Kind::undefined); }
  bool is_none() const { return is(Kind::none); }
  bool is_string() const { return is(Kind::string); }
  bool is_dict() const { return is(Kind::dict); }
  bool is_sequence() const { return is(Kind::list) || is(Kind::tuple); }
  bool is_integer() const { return is(Kind::integer) || is(Kind::big_integer); }  // bool is not counted
  bool is_number() const { return is_integer() || is(Kind::real) || is(Kind::boolean); }

  bool boolean() const { return std::get<bool>(data_); }
  std::int64_t integer() const { return std::get<std::int64_t>(data_); }
  const BigRef& big() const { return std::get<BigRef>(data_); }
  double real() const { return std::get<double>(data_); }
  const std::string& string() const { return *std::get<Text>(data_).text; }
  bool is_markup() const { return is_string() && std::get<Text>(data_).markup; }
  /// The items of a list or a tuple.
  const std::vector<Value>& items() const;
  const std::shared_ptr<const Sequence>& sequence() const;
  const Dict& dict() const { return *std::get<DictRef>(data_); }
  const DictRef& dict_ref() const { return std::get<DictRef>(data_); }
  const UndefinedInfo& undefined() const { return *std::get<UndefinedRef>(data_).info; }
  const ObjectRef& object() const { return std::get<ObjectRef>(data_); }
  template <typename T>
  std::shared_ptr<T> as() const;  // the object of this class, or null

 private:
  Data data_;
};

/// The items of a list or tuple, and how deep values nest below: bounded, so that no walk over a value can
/// exhaust the stack.
struct Sequence {
  std::vector<Value> items;
  int depth = 1;
  bool is_group = false;  // groupby's pairs, whose items have the names `grouper` and `list`
};

inline constexpr int kMaxValueDepth = 200;  // lists within lists; more than any message or schema has

/// A dict in order of insertion. Keys compare as in Python (1 == 1.0 == True).
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  /// Raises TypeError for a key that cannot be hashed.
  void set(const Value& key, Value value);
  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  int depth() const { return depth_; }

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> index_;  // by hash_key(); only when there are many entries
  int depth_ = 1;
};

enum class ObjectKind : std::uint8_t {
  name_space,
  macro,
  method,
  function,
  iterator,
  range,
  dict_view,
  loop,
  cycler,
  joiner,
  template_reference,
};

struct Object {
  explicit Object(ObjectKind object_kind) : kind(object_kind) {}
  virtual ~Object() = default;
  /// What repr() prints, where it is more than the class's name.
  virtual std::string describe() const { return {}; }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ObjectKind kind;
  int depth =
      1;  // as Sequence's; what a namespace or a macro holds is not counted (the interpreter frees it)
};

struct NamespaceObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::name_space;
  NamespaceObject() : Object(kKind) {}
  Dict attributes;
};

/// `'a'.upper` before it is called.
struct MethodObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::method;
  MethodObject(Value value, std::string method)
      : Object(kKind), self(std::move(value)), name(std::move(method)) {}
  Value self;
  std::string name;
};

/// A global function, by its name.
struct FunctionObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::function;
  explicit FunctionObject(std::string function) : Object(kKind), name(std::move(function)) {}
  std::string name;
};

/// What can be walked through once: a generator, a reversed list.
struct IteratorObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::iterator;
  IteratorObject(std::string python_type, std::vector<Value> values)
      : Object(kKind), type(std::move(python_type)), items(std::move(values)) {}
  std::string type;
  std::vector<Value> items;
  std::size_t next = 0;
};

struct RangeObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::range;
  RangeObject(std::int64_t first, std::int64_t last, std::int64_t by)
      : Object(kKind), start(first), stop(last), step(by) {}
  std::int64_t start, stop, step;
  std::int64_t size() const;
};

/// dict.keys(), .values() and .items().
struct DictViewObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::dict_view;
  enum class Part : std::uint8_t { keys, values, items };
  DictViewObject(DictRef viewed, Part shown) : Object(kKind), dict(std::move(viewed)), part(shown) {}
  DictRef dict;
  Part part;
};

struct CyclerObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::cycler;
  explicit CyclerObject(std::vector<Value> values) : Object(kKind), items(std::move(values)) {}
  std::vector<Value> items;
  std::size_t position = 0;
};

struct JoinerObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::joiner;
  explicit JoinerObject(Value text) : Object(kKind), separator(std::move(text)) {}
  Value separator;
  bool used = false;
};

template <typename T>
std::shared_ptr<T> Value::as() const {
  if (!is(Kind::object) || object()->kind != T::kKind) return nullptr;
  return std::static_pointer_cast<T>(object());
}

/// How deep values nest in this one; raises LimitError beyond kMaxValueDepth. For the depth of what holds
/// them.
int depth_above(const std::vector<Value>& items);
int depth_of(const Value& value);

Value make_list(std::vector<Value> items, Budget& budget);
Value make_tuple(std::vector<Value> items, Budget& budget);
Value make_dict(Dict dict);
Value make_iterator(std::string type, std::vector<Value> items, Budget& budget);
/// An undefined value whose use raises UndefinedError.
Value make_undefined(std::string message);
Value from_json(const boost::json::value& json, Budget& budget);

/// How Python names the value's class: "str", "NoneType".
std::string type_name(const Value& value);
bool truthy(const Value& value);
/// Equality as Python's ==.
bool equal(const Value& left, const Value& right, Budget& budget);
/// Negative, zero or positive; raises TypeError ("'<' not supported …", with the operator's sign).
int compare(const Value& left, const Value& right, std::string_view sign, Budget& budget);
/// `item in container`.
bool contains(const Value& container, const Value& item, Budget& budget);
/// What equal keys share and others don't. Raises TypeError for what cannot be hashed.
std::string hash_key(const Value& value);
/// The items that a for loop would see. Raises TypeError when the value is not iterable; uses up an iterator.
std::vector<Value> iterate(const Value& value, Budget& budget);
bool is_iterable(const Value& value);
/// len(). Raises TypeError.
std::int64_t length(const Value& value);
/// Raises the error that an undefined value stands for; does nothing for others.
void require_defined(const Value& value);
bool is_callable(const Value& value);

}  // namespace touchstone::jinja
