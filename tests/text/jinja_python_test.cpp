// Where a template can tell Python's own ways: the wording of errors, numbers, formats, scopes.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "text/chat_template.h"

namespace touchstone {
namespace {

using Cases = std::vector<std::pair<std::string, std::string>>;

/// The text, or "Type: message" of the failure.
std::string outcome(const std::string& source) {
  const boost::json::object variables{{"items", boost::json::array{3, 1, 2}}, {"nan", "nan"}, {"inf", "inf"}};
  try {
    return ChatTemplate::parse(source).render_plain(variables).text;
  } catch (const TemplateError& error) {
    return error.type() + ": " + error.message();
  }
}

void expect_outcomes(const Cases& cases) {
  for (const auto& [source, expected] : cases) EXPECT_EQ(outcome(source), expected) << source;
}

void expect_values(const Cases& cases) {
  for (const auto& [expression, expected] : cases) {
    EXPECT_EQ(outcome("{{ " + expression + " }}"), expected) << expression;
  }
}

TEST(JinjaPython, ElseOfALoopRunsWhereNoRoundReachedItsEnd) {
  expect_outcomes({
      {"{% for i in items %}{{ i }}{% break %}{% else %}none{% endfor %}", "3none"},
      {"{% for i in items %}{% continue %}{% else %}none{% endfor %}", "none"},
      {"{% for i in items %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% else %}none{% endfor %}", "3"},
      {"{% for i in items if i > 9 %}{{ i }}{% else %}none{% endfor %}", "none"},
  });
}

TEST(JinjaPython, AnUnknownFilterIsExcusedOnlyDirectlyInACondition) {
  const std::string unknown = "TemplateAssertionError: No filter named 'nosuch'.";
  expect_outcomes({
      {"{% if false %}{{ 1 | nosuch }}{% endif %}ok", "ok"},
      {"{% if false %}{% for i in items %}{{ i | nosuch }}{% endfor %}{% endif %}", unknown},
      {"{% if false %}{% filter nosuch %}{% endfilter %}{% endif %}", unknown},
      {"{% if false %}{% macro m() %}{{ 1 | nosuch }}{% endmacro %}{% endif %}", unknown},
      {"{% if false %}{% for i in items | nosuch %}{% endfor %}{% endif %}ok", "ok"},
      {"{% for loop in items %}{% endfor %}{{ 1 + }}",
       "TemplateSyntaxError: unexpected 'end of print statement'"},
  });
}

TEST(JinjaPython, AssigningToWhatIsNoNamespaceFailsBeforeTheValueIsEvaluated) {
  expect_outcomes({
      {"{% set nope.x = 1 / 0 %}", "TemplateRuntimeError: cannot assign attribute on non-namespace object"},
      {"{% macro m() %}{{ caller(1) }}{% endmacro %}{% call m() %}{% endcall %}",
       "TypeError: macro None takes not more than 0 argument(s)"},
  });
}

TEST(JinjaPython, MethodsRefuseArgumentsInPythonsWords) {
  expect_values({
      {"'x'.replace('a', 'b', count=1)", "TypeError: str.replace() takes no keyword arguments"},
      {"'x'.replace('a')", "TypeError: replace expected at least 2 arguments, got 1"},
      {"'x'.strip('a', 'b')", "TypeError: strip expected at most 1 argument, got 2"},
      {"'x'.join()", "TypeError: str.join() takes exactly one argument (0 given)"},
      {"'x'.find()", "TypeError: find() takes at least 1 argument (0 given)"},
      {"'x'.find(1)", "TypeError: must be str, not int"},
      {"'x'.find('x', 'y')", "TypeError: slice indices must be integers or None or have an __index__ method"},
      {"'x'.startswith((1,))", "TypeError: tuple for startswith must only contain str, not int"},
      {"'x'.center(3, 1)", "TypeError: The fill character must be a unicode character, not int"},
      {"{}.get('a', default=1)", "TypeError: dict.get() takes no keyword arguments"},
      {"{}.get('a', 1, 2)", "TypeError: get expected at most 2 arguments, got 3"},
      {"{}.items(1)", "TypeError: dict.items() takes no arguments (1 given)"},
      {"items.count()", "TypeError: list.count() takes exactly one argument (0 given)"},
      {"range(3).index('a')", "ValueError: sequence.index(x): x not in sequence"},
      {"items | length(1)", "TypeError: len() takes exactly one argument (2 given)"},
      {"1 is none(2)", "TypeError: test_none() takes 1 positional argument but 2 were given"},
  });
}

TEST(JinjaPython, AnUndefinedArgumentIsOfTheWrongType) {
  expect_values({
      {"'x'.replace(nope, 'a')", "TypeError: replace() argument 1 must be str, not Undefined"},
      {"'x'.startswith(nope)",
       "TypeError: startswith first arg must be str or a tuple of str, not Undefined"},
      {"'x'.split(nope)", "TypeError: must be str or None, not Undefined"},
      {"range(nope)", "TypeError: 'Undefined' object cannot be interpreted as an integer"},
      {"'abc'[nope:]", "TypeError: slice indices must be integers or None or have an __index__ method"},
      {"nope in 'abc'", "TypeError: 'in <string>' requires string as left operand, not Undefined"},
      {"'abc' % nope", "abc"},
      {"'%s|' % nope", "|"},
      {"'%d' % nope", "UndefinedError: 'nope' is undefined"},
  });
}

TEST(JinjaPython, FiltersRefuseValuesInPythonsWords) {
  expect_values({
      {"1 | wordwrap(3)", "AttributeError: 'int' object has no attribute 'splitlines'"},
      {"[] | indent", "AttributeError: 'list' object has no attribute 'splitlines'"},
      {"() | indent", "TypeError: can only concatenate tuple (not \"str\") to tuple"},
      {"1 | dictsort(by='x')", "FilterArgumentError: You can only sort by either \"key\" or \"value\""},
      {"items | map(1) | list", "TemplateRuntimeError: No filter named 1."},
      {"1 | attr(1)", "TypeError: attribute name must be string, not 'int'"},
      {"{1: 2} | xmlattr", "TypeError: expected string or bytes-like object, got 'int'"},
      {"['abc'] | urlencode", "ValueError: too many values to unpack (expected 2)"},
      {"'x' | round(1, 'ceil')", "TypeError: must be real number, not str"},
      {"(inf | float) | round(1, 'ceil')", "OverflowError: cannot convert float infinity to integer"},
      {"(nan | float) | round(1, 'floor')", "ValueError: cannot convert float NaN to integer"},
      {"(nan | float) in range(4)", "False"},
      {"(nan | float) | filesizeformat", "nan YB"},
      {"[] in {}.keys()", "TypeError: unhashable type: 'list'"},
  });
}

TEST(JinjaPython, QuotientsAndRoundedNumbersAreCorrectlyRounded) {
  expect_values({
      {"1 / 10**30", "1e-30"},
      {"10**30 / 12345678901234567890", "81000000729.0"},
      {"-414375491464551256441417610435310956970 / 928659101208821533551404993", "-446208399750.95807"},
      {"10**400 / 1", "OverflowError: integer division result too large for a float"},
      {"12345678901234567890 | round(1, 'ceil')", "1.2345678901234567e+19"},
      {"-2.0782086823666002e+61 | round(-2)", "-2.0782086823666002e+61"},
      {"150.0 | round(-2)", "200.0"},
      {"250.0 | round(-2)", "200.0"},
      {"250.5 | round(-2)", "300.0"},
      {"50.0 | round(-2)", "0.0"},
      {"50.5 | round(-2)", "100.0"},
      {"-9 | round(-3)", "0"},
      {"2.5.numerator", ""},
      {"5.numerator", "5"},
  });
}

TEST(JinjaPython, FormatsAreReadAsPythonReadsThem) {
  const std::string switched =
      "ValueError: cannot switch from manual field specification to automatic field numbering";
  expect_values({
      {"'%c' % true", "\x01"},
      {"'%c' % -5", "OverflowError: %c arg not in range(0x110000)"},
      {"'%5%' % 1", "ValueError: unsupported format character '%' (0x25) at index 2"},
      {"'%é' % 1", "ValueError: unsupported format character '?' (0xe9) at index 1"},
      {"'%%' % items", "%"},
      {"'{}{0}'.format(1)", switched},
      {"'{0}{}'.format(1)", switched},
      {"'{}'.format()", "IndexError: tuple index out of range"},
      {"'{!x}'.format(1)", "ValueError: Unknown conversion specifier x"},
      {"'{!}'.format(1)", "ValueError: unmatched '{' in format spec"},
      {"'{0]}'.format(1)", "KeyError: '0]'"},
      {"'{0.}'.format(1)", "ValueError: Empty attribute in format string"},
      {"'{:,}'.format('a')", "ValueError: Cannot specify ',' with 's'."},
      {"'{:+s}'.format('a')", "ValueError: Sign not allowed in string format specifier"},
      {"'{:c}'.format(10**20)", "OverflowError: Python int too large to convert to C long"},
      {"'{:c}'.format(2**40)", "OverflowError: %c arg not in range(0x110000)"},
      {"'{:.4}'.format(7112.5)", "7.112e+03"},
      {"'{:#.4}'.format(7112.5)", "7.112e+03"},
      {"'{:.2}'.format(2.0)", "2.0"},
      {"'{:.1}'.format(2.0)", "2e+00"},
      {"'{:010,d}'.format(1234567)", "01,234,567"},
      {"'{:09,d}'.format(123)", "0,000,123"},
      {"'{:+012_.8g}'.format(-817.1244514797686)", "-0_817.12445"},
      {"'{:-012_.0e}'.format(-975.6)", "-000_001e+03"},
  });
}

TEST(JinjaPython, ABackslashBeforeAForeignLetterShowsItsEscape) {
  expect_values({{"'\\é'", "\\xe9"}, {"'\\你'", "\\u4f60"}, {"'\\😀'", "\\U0001f600"}});
}

TEST(JinjaPython, NumbersAreReadInTheDigitsOfEveryScript) {
  expect_values({{"'١٢' | int", "12"},
                 {"'-１_０' | int", "-10"},
                 {"'𝟘𝟡𝟠𝟟' | int", "987"},
                 {"'१.५e２' | float", "150.0"},
                 {"'²' | int(7)", "7"},
                 {"'٣ ' | filesizeformat", "3 Bytes"}});
}

TEST(JinjaPython, ContinuingAFieldThatTheTemplateNeverReadsIsRefused) {
  const auto render = [](const std::string& source, const char* field) {
    boost::json::object message{{"role", "assistant"}, {"content", "yes"}, {"reasoning", "why"}};
    try {
      return ChatTemplate::parse(source).render(
          {{"messages", {std::move(message)}}, {"continue_final_message", field}});
    } catch (const TemplateError& error) {
      return error.message();
    }
  };
  const std::string reads_thinking = "<{{ messages[-1].thinking }}>{{ messages[-1].content }}";
  EXPECT_EQ(render(reads_thinking, "reasoning_content"), "<why");
  EXPECT_EQ(render(reads_thinking, "content"), "<why>yes");
  EXPECT_EQ(render("{{ messages[-1].content }}", "reasoning_content"),
            "continue_final_message is set to \"reasoning_content\" but this is not an accepted field in the "
            "chat_template");
}

TEST(JinjaPython, ClassesPrintTheirNames) {
  expect_values({{"dict", "<class 'dict'>"},
                 {"joiner", "<class 'jinja2.utils.Joiner'>"},
                 {"cycler", "<class 'jinja2.utils.Cycler'>"}});
}

}  // namespace
}  // namespace touchstone
