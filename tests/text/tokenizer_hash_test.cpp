#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "support/golden.h"
#include "text/tokenizer.h"

namespace touchstone {
namespace {

namespace json = boost::json;

std::string hash(const json::object& tokenizer) { return Tokenizer::from_json(tokenizer, {}).sha256(); }

TEST(TokenizerHash, IsAnotherForEachChangeOfWhatIdsATextBecomes) {
  const json::object original =
      testing::read_json(testing::source_dir() / "demo/native/tokenizer.json").as_object();
  EXPECT_EQ(hash(original), hash(original));
  std::set<std::string> hashes{hash(original)};
  const auto change = [&](const auto& edit) {
    json::object changed = original;
    edit(changed);
    hashes.insert(hash(changed));
  };
  change([](json::object& t) {
    json::array& merges = t.at("model").at("merges").as_array();
    std::swap(merges[0], merges[1]);
  });
  change([](json::object& t) { t.at("model").at("merges").as_array().pop_back(); });
  change([](json::object& t) {
    json::object& token = t.at("added_tokens").at(0).as_object();
    token["special"] = !token.at("special").as_bool();
  });
  change([](json::object& t) { t["normalizer"] = nullptr; });
  EXPECT_EQ(hashes.size(), 5U);
}

}  // namespace
}  // namespace touchstone
