#include "text/jinja_builtins.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>

#include "base/count_of.h"
#include "text/jinja_int.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_print.h"

namespace touchstone::jinja {

// ---- arguments ----

const Value* CallArguments::find(std::string_view name) const {
  for (const auto& [known, value] : named) {
    if (known == name) return &value;
  }
  return nullptr;
}

namespace {

std::vector<std::string_view> split_names(std::string_view names) {
  std::vector<std::string_view> list;
  while (!names.empty()) {
    const std::size_t comma = names.find(',');
    list.push_back(names.substr(0, comma));
    names.remove_prefix(comma == std::string_view::npos ? names.size() : comma + 1);
  }
  return list;
}

}  // namespace

BoundArguments::BoundArguments(std::string_view function, std::string_view parameters, std::size_t required,
                               const CallArguments& arguments) {
  const std::vector<std::string_view> names = split_names(parameters);
  const std::string call = std::string(function) + "()";
  given_.resize(names.size());
  if (arguments.positional.size() > names.size()) {
    // Python counts the value that the filter or method is applied to.
    const std::string most = std::to_string(names.size() + 1);
    raise_type_error(
        call + " takes " +
        (required == names.size() ? most : "from " + std::to_string(required + 1) + " to " + most) +
        " positional argument" + (names.empty() ? "" : "s") + " but " +
        std::to_string(arguments.positional.size() + 1) + " were given");
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), given_.begin());
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) raise_type_error(call + " got an unexpected keyword argument " + quote(name));
    std::optional<Value>& slot = given_[static_cast<std::size_t>(found - names.begin())];
    if (slot) raise_type_error(call + " got multiple values for argument " + quote(name));
    slot = value;
  }
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < required; ++i) {
    if (!given_[i]) missing.push_back(quote(names[i]));
  }
  if (missing.empty()) return;
  std::string list = missing.front();
  for (std::size_t i = 1; i < missing.size(); ++i)
    list += (i + 1 < missing.size() ? ", " : " and ") + missing[i];
  raise_type_error(call + " missing " + std::to_string(missing.size()) + " required positional argument" +
                   (missing.size() == 1 ? ": " : "s: ") + list);
}

BoundArguments bind_positional(std::string_view type, std::string_view method, std::string_view parameters,
                               std::size_t required, const CallArguments& arguments) {
  const std::string full_name = std::string(type) + "." + std::string(method) + "()";
  const std::size_t most = split_names(parameters).size();
  const std::size_t given = arguments.positional.size();
  if (!arguments.named.empty()) raise_type_error(full_name + " takes no keyword arguments");
  if (most == 0 && given > 0) {
    raise_type_error(full_name + " takes no arguments (" + std::to_string(given) + " given)");
  }
  if (most == 1 && required == 1 && given != 1) {
    raise_type_error(full_name + " takes exactly one argument (" + std::to_string(given) + " given)");
  }
  if (given < required || given > most) {
    const std::size_t bound = given < required ? required : most;
    raise_type_error(std::string(method) + " expected at " + (given < required ? "least " : "most ") +
                     count_of(static_cast<std::int64_t>(bound), "argument") + ", got " +
                     std::to_string(given));
  }
  return {method, parameters, required, arguments};
}

std::int64_t BoundArguments::integer(std::size_t index, std::int64_t fallback) const {
  return has(index) ? require_integer(*given_[index]) : fallback;
}

std::int64_t require_integer(const Value& value) {
  if (!value.is_integer() && !value.is(Kind::boolean)) {
    raise_type_error("'" + type_name(value) + "' object cannot be interpreted as an integer");
  }
  return clamp_integer(value);
}

const std::string& require_string(const Value& value, std::string_view what) {
  if (!value.is_string()) {
    raise_type_error(std::string(what) + (what.empty() ? "" : " ") + "must be str, not " + type_name(value));
  }
  return value.string();
}

// ---- filters ----

namespace {

const std::unordered_map<std::string_view, const FilterEntry*>& filter_index() {
  static const auto* const index = [] {
    auto* made = new std::unordered_map<std::string_view, const FilterEntry*>();
    for (const auto* table : {&text_filters(), &number_filters(), &sequence_filters()}) {
      for (const FilterEntry& entry : *table) made->emplace(entry.name, &entry);
    }
    return made;
  }();
  return *index;
}

}  // namespace

bool is_filter(std::string_view name) { return filter_index().contains(name); }

Value apply_filter(Interpreter& interpreter, std::string_view name, const Value& value,
                   const CallArguments& arguments) {
  const auto found = filter_index().find(name);
  if (found == filter_index().end()) raise("TemplateRuntimeError", "No filter named " + quote(name) + ".");
  const FilterEntry& entry = *found->second;
  interpreter.budget().spend();
  if (entry.apply_variadic != nullptr) return entry.apply_variadic(interpreter, value, arguments);
  return entry.apply(interpreter, value,
                     BoundArguments(entry.function, entry.parameters, entry.required, arguments));
}

// ---- global functions ----

namespace {

constexpr std::int64_t kMaxRange = 100'000;  // as Jinja's sandbox

Value make_range(Interpreter&, const CallArguments& arguments) {
  if (!arguments.named.empty()) raise_type_error("range() takes no keyword arguments");
  const auto& given = arguments.positional;
  if (given.empty()) raise_type_error("range expected at least 1 argument, got 0");
  if (given.size() > 3) {
    raise_type_error("range expected at most 3 arguments, got " + std::to_string(given.size()));
  }
  const std::int64_t first = require_integer(given[0]);
  const std::int64_t start = given.size() > 1 ? first : 0;
  const std::int64_t stop = given.size() > 1 ? require_integer(given[1]) : first;
  const std::int64_t step = given.size() > 2 ? require_integer(given[2]) : 1;
  if (step == 0) raise_value_error("range() arg 3 must not be zero");
  auto range = std::make_shared<RangeObject>(start, stop, step);
  if (range->size() > kMaxRange) {
    raise("OverflowError", "Range too big. The sandbox blocks ranges larger than MAX_RANGE (" +
                               std::to_string(kMaxRange) + ").");
  }
  return {ObjectRef(std::move(range))};
}

/// dict(mapping or pairs, key=value, …)
Dict collect_dict(Interpreter& interpreter, const CallArguments& arguments) {
  Dict dict;
  if (arguments.positional.size() > 1) {
    raise_type_error("dict expected at most 1 argument, got " + std::to_string(arguments.positional.size()));
  }
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional.front();
    interpreter.budget().make(sizeof(Dict::Entry));
    if (source.is_dict()) {
      interpreter.budget().make(source.dict().size() * sizeof(Dict::Entry));
      dict = source.dict();
    } else {
      for (const Value& item : iterate(source, interpreter.budget())) {
        const std::vector<Value> pair = iterate(item, interpreter.budget());
        if (pair.size() != 2) {
          raise_value_error("dictionary update sequence element #" + std::to_string(dict.size()) +
                            " has length " + std::to_string(pair.size()) + "; 2 is required");
        }
        interpreter.budget().make(sizeof(Dict::Entry));
        dict.set(pair[0], pair[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) dict.set(Value(name), value);
  return dict;
}

Value make_dict_value(Interpreter& interpreter, const CallArguments& arguments) {
  return make_dict(collect_dict(interpreter, arguments));
}

Value make_namespace_value(Interpreter& interpreter, const CallArguments& arguments) {
  Dict attributes = collect_dict(interpreter, arguments);
  for (const auto& entry : attributes.entries()) {
    if (entry.first.is_string()) check_namespace_name(entry.first.string());
  }
  return interpreter.make_namespace(std::move(attributes));
}

Value make_cycler(Interpreter&, const CallArguments& arguments) {
  if (arguments.positional.empty()) raise("RuntimeError", "at least one item has to be provided");
  const int depth = depth_above(arguments.positional);
  auto cycler = std::make_shared<CyclerObject>(arguments.positional);
  cycler->depth = depth;
  return {ObjectRef(std::move(cycler))};
}

Value make_joiner(Interpreter&, const CallArguments& arguments) {
  const BoundArguments bound("joiner", "sep", 0, arguments);
  const Value separator = bound.get(0, Value(", "));
  const int depth = depth_above({separator});
  auto joiner = std::make_shared<JoinerObject>(separator);
  joiner->depth = depth;
  return {ObjectRef(std::move(joiner))};
}

Value raise_exception(Interpreter& interpreter, const CallArguments& arguments) {
  const BoundArguments bound("raise_exception", "message", 1, arguments);
  raise("TemplateError", to_str(bound[0], interpreter.budget()));
}

Value make_filler_text(Interpreter& interpreter, const CallArguments& arguments) {
  const BoundArguments bound("generate_lorem_ipsum", "n,html,min,max", 0, arguments);
  static constexpr std::string_view kParagraph = "Lorem ipsum dolor sit amet consectetuer adipiscing elit.";
  const bool html = bound.flag(1, true);
  std::string text;
  for (std::int64_t i = 0; i < bound.integer(0, 5); ++i) {
    interpreter.budget().make(kParagraph.size() + 9);
    if (!text.empty()) text += html ? "\n" : "\n\n";
    text += html ? "<p>" + std::string(kParagraph) + "</p>" : std::string(kParagraph);
  }
  return {std::move(text), html};
}

// ---- dates ----

std::tm read_clock(const RenderOptions& options) {
  std::tm time{};
  std::string now = options.now;
  if (now.empty()) {
    // The only place that reads it; nothing in the program changes the environment.
    if (const char* variable = std::getenv("TOUCHSTONE_NOW"))
      now = variable;  // NOLINT(concurrency-mt-unsafe)
  }
  if (!now.empty()) {
    if (strptime(now.c_str(), "%Y-%m-%dT%H:%M:%S", &time) == nullptr) {
      raise_value_error("the time " + quote(now) + " is not of the form 2026-03-05T07:08:09");
    }
    return time;
  }
  const std::time_t seconds = std::time(nullptr);
  localtime_r(&seconds, &time);
  return time;
}

/// datetime.strftime(): the C library's, where a time without a zone has no %z, and %f is microseconds.
std::string format_time(std::string_view format, const std::tm& time) {
  std::string text;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      text += format[i];
      continue;
    }
    std::string directive = "%";
    do {
      directive += format[++i];
    } while (i + 1 < format.size() && std::string_view("-_0^#EO").find(format[i]) != std::string_view::npos);
    if (directive == "%z" || directive == "%Z") continue;
    if (directive == "%f") {
      text += "000000";
      continue;
    }
    std::array<char, 256> buffer{};
    text.append(buffer.data(), std::strftime(buffer.data(), buffer.size(), directive.c_str(), &time));
  }
  return text;
}

Value tell_time(Interpreter& interpreter, const CallArguments& arguments) {
  const BoundArguments bound("strftime_now", "format", 1, arguments);
  const std::string& format = require_string(bound[0], "strftime() argument 1");
  interpreter.budget().make(format.size() * 32);  // the longest directives write some tens of characters
  return {format_time(format, read_clock(interpreter.options()))};
}

using GlobalFunction = Value (*)(Interpreter&, const CallArguments&);

struct GlobalEntry {
  std::string_view name;
  GlobalFunction call;
};

constexpr std::array<GlobalEntry, 8> kGlobals = {{{"range", make_range},
                                                  {"dict", make_dict_value},
                                                  {"namespace", make_namespace_value},
                                                  {"cycler", make_cycler},
                                                  {"joiner", make_joiner},
                                                  {"raise_exception", raise_exception},
                                                  {"strftime_now", tell_time},
                                                  {"lipsum", make_filler_text}}};

const GlobalEntry* find_entry(std::string_view name) {
  const auto* found = std::find_if(kGlobals.begin(), kGlobals.end(),
                                   [&](const GlobalEntry& entry) { return entry.name == name; });
  return found == kGlobals.end() ? nullptr : found;
}

struct TemplateReference : Object {
  TemplateReference() : Object(ObjectKind::template_reference) {}
};

}  // namespace

std::optional<Value> find_global(std::string_view name) {
  if (name == "self") return Value(ObjectRef(std::make_shared<TemplateReference>()));
  if (find_entry(name) == nullptr) return std::nullopt;
  return Value(ObjectRef(std::make_shared<FunctionObject>(std::string(name))));
}

Value call_global(Interpreter& interpreter, std::string_view name, const CallArguments& arguments) {
  return find_entry(name)->call(interpreter, arguments);
}

void check_namespace_name(std::string_view name) {
  if (!name.empty() && name.front() == '_') {
    raise("SecurityError",
          "Chat templates cannot store underscore-prefixed attributes on a namespace, but got " +
              quote(name) + ". Please rename the attribute.");
  }
}

}  // namespace touchstone::jinja
