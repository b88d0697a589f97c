// Templates that want too much time, memory or stack, or what is none of their business.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/chat_template.h"

namespace touchstone {
namespace {

std::string render(const std::string& source, const TemplateLimits& limits = {}) {
  return ChatTemplate::parse(source).render_plain({}, limits).text;
}

/// "Type: message" of the failure, or the text with which it did not fail.
std::string failure(const std::string& source) {
  try {
    return "rendered: " + render(source).substr(0, 100);
  } catch (const TemplateError& error) {
    return error.type() + ": " + error.message();
  }
}

std::string repeat(std::string_view text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

void expect_limit(const std::string& source, std::string_view named) {
  const std::string found = failure(source);
  EXPECT_TRUE(found.starts_with("LimitError") && found.find(named) != std::string::npos)
      << source.substr(0, 200) << "\n  " << found;
}

TEST(HostileTemplate, NestingIsBoundedWhileItIsParsed) {
  for (const char* opening : {"(", "[", "{'a':", "not ", "-", "1 if 0 else "}) {
    expect_limit("{{ " + repeat(opening, 100'000), "nests deeper");
  }
  expect_limit(repeat("{% if 1 %}", 100'000), "nests deeper");
  expect_limit(repeat("{% for a in b %}", 100'000), "nests deeper");
}

TEST(HostileTemplate, LongChainsAreBoundedOrFlat) {
  for (const char* link : {"+1", ".a", "|upper", "()", "[0]", " or 0"}) {
    expect_limit("{{ a" + repeat(link, 100'000) + " }}", "levels");
  }
  EXPECT_EQ(render("{{ 1" + repeat("~1", 9) + " }}"), "1111111111");
  EXPECT_EQ(render("{{ (1" + repeat("~1", 50'000) + ")|length }}"), "50001");
  EXPECT_EQ(render("{% if 0 %}" + repeat("{% elif 0 %}", 50'000) + "{% endif %}x"), "x");
}

TEST(HostileTemplate, EndlessWorkRunsOutOfSteps) {
  expect_limit("{% for a in range(100000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}", "template");
  expect_limit("{% set s = 'a' * 10000000 %}{% for i in range(100000) %}{{ s.count('b') }}{% endfor %}",
               "steps");
  expect_limit("{% set l = range(100000)|list %}{% for i in l %}{{ 'x' in l }}{% endfor %}", "steps");
  expect_limit(
      "{% set d = namespace(v=[1]) %}{% for i in range(100) %}{% set d.v = [d.v, d.v] %}{% endfor %}{{ d.v "
      "}}",
      "template");
}

TEST(HostileTemplate, ASmallLimitIsNamed) {
  try {
    render("{% for i in range(1000) %}{% endfor %}", {.steps = 100});
    FAIL();
  } catch (const TemplateError& error) {
    EXPECT_EQ(error.message(), "the template takes more than 100 steps");
    EXPECT_NE(std::string(error.what()).find("line 1"), std::string::npos);
  }
}

TEST(HostileTemplate, LargeTextsRunOutOfBytesBeforeTheyAreMade) {
  const std::vector<std::string> expressions = {"'a' * 10**9",
                                                "'a' * 10**30",
                                                "[0] * 10**9",
                                                "'a'.ljust(10**12)",
                                                "'a'.zfill(10**15)",
                                                "'a'|center(10**12)",
                                                "'a'|indent(10**15)",
                                                "'\\t'.expandtabs(10**15)",
                                                "'%1000000000d' % 1",
                                                "'%*d' % (10**18, 1)",
                                                "'%.9999999999d' % 1",
                                                "'{:1000000000}'.format(1)",
                                                "[1]|tojson(indent=10**12)",
                                                "range(100000)|join('x' * 100000)",
                                                "('a' * 100000).replace('a', 'b' * 100000)",
                                                "('a' * 100000).replace('', 'b' * 100000)",
                                                "[1]|batch(9223372036854775807, 0)|list",
                                                "([[1] * 1000] * 10000)|sum(start=[])"};
  for (const std::string& expression : expressions) expect_limit("{{ " + expression + " }}", "bytes");
  expect_limit(
      "{% set n = namespace(s='aaaa') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      "bytes");
}

TEST(HostileTemplate, IntegersAreBounded) {
  for (const char* expression :
       {"10 ** 10 ** 10", "2 ** (2 ** 64)", "(10 ** 1000) ** 1000", "5.5|round(10**9, 'ceil')"}) {
    if (failure("{{ " + std::string(expression) + " }}").starts_with("rendered"))
      continue;  // (10 ** 10) ** 10 is 10^100
    expect_limit("{{ " + std::string(expression) + " }}", "bits");
  }
  expect_limit("{{ " + std::string(100'000, '9') + " }}", "bits");
}

TEST(HostileTemplate, ExtremeIndicesAreNoOverflow) {
  EXPECT_EQ(render("{{ 'abc'[-9223372036854775808:9223372036854775807:9223372036854775807] }}"), "a");
  EXPECT_EQ(render("{{ [1, 2, 3][10**30:(-10)**31:(-10)**31] }}"), "[3]");
  EXPECT_EQ(render("{{ range(10)[::10**18]|list }}"), "[0]");
  EXPECT_EQ(render("{{ -9223372036854775808 // -1 }} {{ -9223372036854775808 % -1 }}"),
            "9223372036854775808 0");
  EXPECT_EQ(failure("{{ range(-9223372036854775808, 9223372036854775807)|length }}").substr(0, 13),
            "OverflowError");
}

TEST(HostileTemplate, RecursionIsBoundedAsItRuns) {
  expect_limit("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nests deeper");
  expect_limit("{% macro m(a=m()) %}{% endmacro %}{{ m() }}", "nests deeper");
  expect_limit("{% for i in [1] recursive %}{{ loop([i]) }}{% endfor %}", "nests deeper");
  EXPECT_EQ(render("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}.{% endmacro %}{{ m(60)|length }}"),
            "61");
}

TEST(HostileTemplate, ValuesCannotNestWithoutBound) {
  const auto grow = [](const std::string& value) {
    return "{% set n = namespace(v=[1]) %}{% for i in range(5000) %}{% set n.v = " + value +
           " %}{% endfor %}done";
  };
  for (const char* value : {"[n.v]", "(n.v, 1)", "{1: n.v}", "[n.v]|select", "[n.v.index]", "cycler(n.v)",
                            "joiner(n.v)", "[[n.v].index]"}) {
    expect_limit(grow(value), "nested deeper");
  }
  EXPECT_EQ(render(grow("namespace(v=n.v)")), "done");
  EXPECT_EQ(render("{% set n = namespace() %}{% set n.n = n %}{{ n }}"),
            "<Namespace {'n': <Namespace {...}>}>");
  EXPECT_EQ(render("{% for i in [1, 2] %}{{ loop.changed(loop) }}{% endfor %}"), "TrueFalse");
}

TEST(HostileTemplate, NothingOfTheHostCanBeReached) {
  const std::vector<std::string> attempts = {"''.__class__.__mro__",
                                             "''['__class__']['__mro__']",
                                             "(''|attr('__class__')).x",
                                             "lipsum.__globals__['os']",
                                             "cycler.__init__.__globals__.os",
                                             "namespace.__init__.__globals__",
                                             "raise_exception.__globals__.x",
                                             "self.__init__.__globals__",
                                             "'{0.__class__.__mro__}'.format('a')",
                                             "'{a.__class__.x}'.format_map({'a': 1})",
                                             "[].append(1)",
                                             "{}.update({})",
                                             "{}['pop']('a')"};
  for (const std::string& attempt : attempts) {
    EXPECT_EQ(failure("{{ " + attempt + " }}").substr(0, 13), "SecurityError") << attempt;
  }
  EXPECT_EQ(render("{{ ''.__class__ }}{{ '{0.__class__}'.format('a') }}|"), "|");
  EXPECT_EQ(failure("{% set n = namespace() %}{% set n.__class__ = 1 %}").substr(0, 13), "SecurityError");
  EXPECT_EQ(failure("{% include '/etc/passwd' %}"), "TypeError: no loader for this environment specified");
}

TEST(HostileTemplate, BrokenTemplatesAreErrorsWithTheirLine) {
  for (const char* source :
       {"{{", "{%", "{{ '", "{{ a", "{% if", "{% raw %}x", "{# x", "{{ \x80 }}", "{% for %}", "{{ 1e }}",
        "{{ '\\x4' }}", "{{ (1] }}", "{% endif %}", "{% macro m( %}", "{{ a|b|c }}", "{% set %}"}) {
    EXPECT_THROW((void)ChatTemplate::parse(source), TemplateError) << source;
  }
  try {
    ChatTemplate::parse("a\n\n{{ 1 + }}");
    FAIL();
  } catch (const TemplateError& error) {
    EXPECT_EQ(error.line(), 3);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace touchstone
