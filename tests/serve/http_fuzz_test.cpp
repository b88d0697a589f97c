// Connections that are almost right: requests of every form, changed at random places.
#include <gtest/gtest.h>

#include <random>

#include "fuzz/http_seeds.h"

extern "C" int fuzz_http(const std::uint8_t* data, std::size_t size);

namespace touchstone::serve {
namespace {

void change_connection(std::string& bytes, std::mt19937& random) {
  const std::size_t at = 1 + random() % (bytes.size() - 1), length = random() % 16;
  switch (random() % 5) {
    case 0:
      bytes[at] = static_cast<char>(random());
      break;
    case 1:
      bytes.erase(at, length);
      break;
    case 2:
      bytes.insert(at, "\xff");
      break;
    case 3:  // past the limits
      bytes.insert(at, std::string(1000 * length, bytes[at]));
      break;
    default:
      bytes.insert(at, bytes.substr(1 + random() % (bytes.size() - 1), 4 * length));
  }
}

TEST(HttpFuzz, AnyConnectionIsAnsweredInWholeResponsesAndEnds) {
  constexpr int kRounds = 40;
  std::mt19937 random;
  for (const std::string& seed : testing::http_seeds()) {
    for (int round = 0; round < kRounds; ++round) {
      std::string bytes = seed;
      for (int changes = 0; changes < round % 4; ++changes) change_connection(bytes, random);
      ASSERT_NO_THROW(fuzz_http(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()))
          << ::testing::PrintToString(bytes);
    }
  }
}

}  // namespace
}  // namespace touchstone::serve
