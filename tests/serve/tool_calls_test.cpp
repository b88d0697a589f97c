#include "serve/tool_calls.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>

namespace touchstone::serve {
namespace {

struct Read {
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;  // name, arguments
  bool operator==(const Read&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Read& read) {
  out << '"' << read.content << '"';
  for (const auto& [name, arguments] : read.calls) out << ' ' << name << '(' << arguments << ')';
  return out;
}

void add(Read& read, const ToolText& piece) {
  read.content += piece.content;
  for (const ToolCallDelta& call : piece.calls) {
    if (call.index == read.calls.size()) read.calls.emplace_back(call.name, "");
    read.calls.at(call.index).second += call.arguments;
  }
}

Read read_in_pieces(std::string_view text, std::size_t size) {
  ToolCallParser parser;
  Read read;
  for (; !text.empty(); text.remove_prefix(std::min(size, text.size())))
    add(read, parser.push(text.substr(0, size)));
  add(read, parser.finish());
  return read;
}

const std::string kWeather = R"(<tool_call>
{"name": "weather", "arguments": {"city": "Oslo \"}{\" </x>", "days": [1, {"a": 2}]}}
</tool_call>)";
const std::string kWeatherArguments = R"({"city": "Oslo \"}{\" </x>", "days": [1, {"a": 2}]})";

struct Case {
  const char* name;
  std::string text;
  Read expected;
};

std::vector<Case> cases() {
  return {
      {"text alone", "No call, 1 < 2 <tool", {"No call, 1 < 2 <tool", {}}},
      {"one call", kWeather, {"", {{"weather", kWeatherArguments}}}},
      {"text before", "I look.\n" + kWeather, {"I look.", {{"weather", kWeatherArguments}}}},
      {"text behind", kWeather + "\nDone.", {"\nDone.", {{"weather", kWeatherArguments}}}},
      {"two calls",
       kWeather + "\n" + kWeather + "\n",
       {"", {{"weather", kWeatherArguments}, {"weather", kWeatherArguments}}}},
      {"arguments first",
       R"(<tool_call>{"arguments":{"a":1},"name":"f"}</tool_call>)",
       {"", {{"f", R"({"a":1})"}}}},
      {"no arguments", R"(<tool_call>{"name":"f"}</tool_call>)", {"", {{"f", "{}"}}}},
      {"not JSON", "<tool_call>nonsense</tool_call> x", {"<tool_call>nonsense</tool_call> x", {}}},
      {"never closed", "<tool_call>{\"na", {"<tool_call>{\"na", {}}},
      {"closing tag left out", R"(<tool_call>{"name": "f", "arguments": {}})", {"", {{"f", "{}"}}}},
      {"cut off in the arguments",
       R"(<tool_call>{"name": "f", "arguments": {"a": "b)",
       {"", {{"f", R"({"a": "b)"}}}},
  };
}

TEST(ToolCalls, ComeOutTheSameHoweverTheTextIsCut) {
  for (const Case& c : cases()) {
    for (std::size_t size = 1; size <= c.text.size(); ++size) {
      ASSERT_EQ(read_in_pieces(c.text, size), c.expected) << c.name << ", pieces of " << size;
    }
  }
}

TEST(ToolCalls, OfAnyOrderKeepTheirNumbersAsNearAsDoublesAre) {
  const Read read = read_in_pieces(
      R"(<tool_call>{"arguments": {"far": 1e999, "near": 0.1000000000000000055511151231257827}, "name": "f"}</tool_call>)",
      7);
  ASSERT_EQ(read.calls.size(), 1U);
  const boost::json::value arguments = boost::json::parse(read.calls[0].second);
  EXPECT_EQ(arguments.at("far").as_double(), std::numeric_limits<double>::max());
  EXPECT_EQ(arguments.at("near").as_double(), 0.1);
}

TEST(ToolCalls, ArgumentsArePassedOnBeforeTheCallIsComplete) {
  ToolCallParser parser;
  EXPECT_TRUE(parser.push("<tool_call>\n{\"name\": \"f\", ").calls.empty());
  const ToolText first = parser.push("\"arguments\": {\"a\"");
  ASSERT_EQ(first.calls.size(), 1U);
  EXPECT_EQ(first.calls[0].name, "f");
  EXPECT_EQ(first.calls[0].arguments, "{\"a\"");
  const ToolText second = parser.push(": 1");
  ASSERT_EQ(second.calls.size(), 1U);
  EXPECT_EQ(second.calls[0].name, "");
  EXPECT_EQ(second.calls[0].arguments, ": 1");
}

}  // namespace
}  // namespace touchstone::serve
