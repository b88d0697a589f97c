#include "base/parse_json.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>

#include "base/error.h"

namespace touchstone {
namespace {

TEST(ParseJson, ANumberThatNoDoubleHoldsIsTheLargestThatOneDoes) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  for (const char* text : {"14e5000", "1e309", "1e99999"})
    EXPECT_EQ(parse_json(text, "the test").as_double(), kLargest) << text;
  EXPECT_EQ(parse_json("-1e309", "the test").as_double(), -kLargest);
  EXPECT_EQ(parse_json("1.7976931348623157e308", "the test").as_double(), 1.7976931348623157e308);
  EXPECT_EQ(parse_json("1e-5000", "the test").as_double(), 0);
}

TEST(ParseJson, WhatItReadSaysTheSameWhenItIsWrittenAndReadAgain) {
  for (const char* text :
       {"0.1", "-0.0", "1e400", "5e-324", "123456789012345678901", R"({"a":[1,2.5,"\u0000é"]})"}) {
    const boost::json::value value = parse_json(text, "the test");
    EXPECT_EQ(parse_json(boost::json::serialize(value), "its copy"), value) << text;
  }
}

TEST(ParseJson, AByteOrderMarkInFrontIsNoPartOfTheDocument) {
  EXPECT_EQ(parse_json("\xEF\xBB\xBF [1]", "the test"), boost::json::parse("[1]"));
  EXPECT_EQ(parse_json("\"\xEF\xBB\xBF\"", "the test"), boost::json::value("\xEF\xBB\xBF"));
  for (const char* text : {"\xEF\xBB\xBF", "\xEF\xBB[1]", "\xEF\xBB\xBF\xEF\xBB\xBF[1]", "[1]\xEF\xBB\xBF"})
    EXPECT_THROW(parse_json(text, "the test"), Error) << text;
}

TEST(ParseJson, AnErrorNamesTheByteOfTheWholeText) {
  try {
    parse_json("\xEF\xBB\xBF[x]", "the test");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the test is not valid JSON: syntax error near byte 4");
  }
}

}  // namespace
}  // namespace touchstone
