// Requests that are almost right: bodies of every API, changed at random places.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "fuzz/request_seeds.h"

extern "C" int fuzz_request(const std::uint8_t* data, std::size_t size);

namespace touchstone::serve {
namespace {

namespace json = boost::json;

/// What stands where something else should.
const std::vector<std::string> kOddities = {"null",
                                            "true",
                                            "0",
                                            "-1",
                                            "1",
                                            "18446744073709551615",
                                            "-9223372036854775808",
                                            "1e308",
                                            "-0.0",
                                            "1e-320",
                                            "\"\"",
                                            "\"<think>\"",
                                            "\"\\u0000\"",
                                            "\"\\ud83d\\ude00\"",
                                            "[]",
                                            "{}",
                                            "[[]]",
                                            "[null]",
                                            "[{}]",
                                            "{\"\":{}}",
                                            "{\"type\":\"text\"}",
                                            "{\"type\":\"function\",\"function\":{}}",
                                            "{\"$ref\":\"#\"}",
                                            "[\"a\",1,null]"};

using Random = std::mt19937;

std::size_t pick(Random& random, std::size_t count) { return random() % count; }

/// A value somewhere inside, at any depth.
json::value& walk(json::value& value, Random& random) {
  if (pick(random, 4) == 0) return value;
  if (value.is_array() && !value.get_array().empty()) {
    return walk(value.get_array()[pick(random, value.get_array().size())], random);
  }
  if (value.is_object() && !value.get_object().empty()) {
    json::object& object = value.get_object();
    return walk((object.begin() + static_cast<std::ptrdiff_t>(pick(random, object.size())))->value(), random);
  }
  return value;
}

void change(json::value& body, Random& random) {
  json::value& place = walk(body, random);
  switch (pick(random, 4)) {
    case 0:
      place = json::parse(kOddities[pick(random, kOddities.size())]);
      break;
    case 1:  // something that is right elsewhere
      place = json::value(walk(body, random));
      break;
    case 2:
      if (place.is_array()) place.get_array().push_back(json::value(walk(body, random)));
      if (place.is_object())
        place.get_object()[pick(random, 2) == 0 ? "type" : "content"] = json::value(walk(body, random));
      break;
    default:
      if (place.is_object() && !place.get_object().empty()) {
        json::object& object = place.get_object();
        object.erase(object.begin() + static_cast<std::ptrdiff_t>(pick(random, object.size())));
      }
  }
}

void change_bytes(std::string& text, Random& random) {
  for (std::size_t i = 0; i < 1 + pick(random, 3) && !text.empty(); ++i) {
    const std::size_t at = pick(random, text.size());
    const auto byte = static_cast<char>(random());
    if (pick(random, 2) == 0)
      text[at] = byte;
    else if (pick(random, 2) == 0)
      text.erase(at, 1 + pick(random, 8));
    else
      text.insert(at, 1, byte);
  }
}

TEST(RequestFuzz, AnythingIsARequestOrAnErrorThatSaysWhatIsWrong) {
  constexpr int kRounds = 3000;
  for (std::size_t i = 0; i < testing::kRequestSeeds.size(); ++i) {
    const auto& [api, seed] = testing::kRequestSeeds[i];
    Random random(static_cast<Random::result_type>(i));
    for (int round = 0; round < kRounds; ++round) {
      json::value body = json::parse(seed);
      for (std::size_t changes = pick(random, 4); changes > 0; --changes) change(body, random);
      std::string text = json::serialize(body);
      if (pick(random, 4) == 0) change_bytes(text, random);
      text.insert(0, 1, api);
      ASSERT_NO_THROW(fuzz_request(reinterpret_cast<const std::uint8_t*>(text.data()), text.size())) << text;
    }
  }
}

}  // namespace
}  // namespace touchstone::serve
