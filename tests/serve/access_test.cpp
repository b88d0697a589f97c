#include "serve/access.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "support/golden.h"

namespace touchstone::serve {
namespace {

HttpRequest make_request(std::vector<std::pair<std::string, std::string>> headers,
                         std::string path = "/v1/models") {
  HttpRequest request;
  request.method = "GET";
  request.path = std::move(path);
  for (const auto& [name, value] : headers) request.headers.insert(name, value);
  return request;
}

ApiKeys load_keys(const std::string& text) {
  const touchstone::testing::TemporaryFolder folder;
  const auto path = folder.path() / "keys";
  std::ofstream(path) << text;
  return ApiKeys::load(path);
}

unsigned status_of(const HttpRequest& request, const AccessRules& rules) {
  Caller caller;
  const auto refusal = refuse_access(request, rules, caller);
  return refusal ? refusal->status : 200;
}

TEST(Access, AKeyIsFoundByAnyClientsWayToSendIt) {
  const AccessRules rules{.keys = load_keys("# keys\n alpha \r\n\nbeta:with:colons\n")};
  EXPECT_EQ(status_of(make_request({{"Authorization", "Bearer alpha"}}), rules), 200U);
  EXPECT_EQ(status_of(make_request({{"authorization", "bearer  alpha"}}), rules), 200U);
  EXPECT_EQ(status_of(make_request({{"X-Api-Key", "beta:with:colons"}}), rules), 200U);
  EXPECT_EQ(status_of(make_request({{"Authorization", "Basic YW55OmFscGhh"}}), rules), 200U);  // any:alpha
}

TEST(Access, TheFirstKeyCountsBehindAByteOrderMark) {
  const AccessRules rules{.keys = load_keys("\xEF\xBB\xBF"
                                            "alpha\nbeta\n")};
  EXPECT_EQ(status_of(make_request({{"Authorization", "Bearer alpha"}}), rules), 200U);
  EXPECT_EQ(status_of(make_request({{"Authorization",
                                     "Bearer \xEF\xBB\xBF"
                                     "alpha"}}),
                      rules),
            401U);
}

TEST(Access, NothingElseGetsIn) {
  const AccessRules rules{.keys = load_keys("alpha\nbeta\n# gamma\n")};
  EXPECT_EQ(status_of(make_request({}), rules), 401U);
  for (const char* header : {"Bearer", "Bearer ", "Bearer alph", "Bearer alphaa", "Bearer # gamma",
                             "Bearer alpha\nbeta", "Basic", "Basic ====", "Basic YWxwaGE=", "alpha"}) {
    EXPECT_EQ(status_of(make_request({{"Authorization", header}}), rules), 401U) << header;
  }
}

TEST(Access, OnlyHealthAndReadinessAreOpen) {
  const AccessRules rules{.keys = load_keys("alpha")};
  for (const char* path : {"/health", "/ready"})
    EXPECT_EQ(status_of(make_request({}, path), rules), 200U) << path;
  for (const char* path : {"/", "/metrics", "/v1/models", "/tokenize", "/health/x", "/Health"}) {
    EXPECT_EQ(status_of(make_request({}, path), rules), 401U) << path;
  }
}

TEST(Access, KeysOfDifferentUsersAreDifferentTenants) {
  const ApiKeys keys = load_keys("alpha\nbeta");
  const auto alpha = keys.find_caller("alpha"), beta = keys.find_caller("beta");
  ASSERT_TRUE(alpha && beta);
  EXPECT_NE(alpha->tenant, beta->tenant);
  EXPECT_NE(alpha->tenant, 0U);
  EXPECT_FALSE(keys.find_caller("gamma"));
}

TEST(Access, AKeySaysInWhichFormItsUserWantsTheThinking) {
  const ApiKeys keys = load_keys("alpha\nbeta reasoning=reasoning\ngamma \t reasoning=inline \r\n");
  const auto form = [&](const char* key) { return keys.find_caller(key).value().reasoning_form; };
  EXPECT_EQ(form("alpha"), ReasoningForm::reasoning_content);
  EXPECT_EQ(form("beta"), ReasoningForm::reasoning);
  EXPECT_EQ(form("gamma"), ReasoningForm::inline_tags);
  EXPECT_FALSE(keys.find_caller("gamma reasoning=inline"));
}

TEST(Access, WhatElseStandsBehindAKeyIsAnErrorThatNamesTheLineAndNotTheKey) {
  for (const char* rest : {"reasoning=loud", "reasoning=", "inline", "reasoning=inline more"}) {
    try {
      load_keys(std::string("alpha\n\nsecret ") + rest);
      FAIL() << rest;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("line 3"), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos) << error.what();
    }
  }
}

TEST(Access, AFileWithoutKeysIsAnError) { EXPECT_THROW(load_keys("# none\n\n"), Error); }

TEST(Access, ANameOfAnotherMachineIsRefusedWhereNoKeyGuardsTheServer) {
  const AccessRules rules{.checks_host = true};
  for (const char* host :
       {"localhost", "LOCALHOST:7860", "127.0.0.1:7860", "127.8.9.1", "[::1]:80", "a.localhost"}) {
    EXPECT_EQ(status_of(make_request({{"Host", host}}), rules), 200U) << host;
  }
  for (const char* host : {"", "evil.example", "evil.example:7860", "127.0.0.1.evil.example",
                           "localhost.evil.example", "[::2]", "[", "10.0.0.1"}) {
    EXPECT_EQ(status_of(make_request({{"Host", host}}), rules), 403U) << host;
  }
}

TEST(Access, WhereTheHostIsCheckedARequestWithoutOneIsToldThatItIsMissing) {
  Caller caller;
  const auto refusal = refuse_access(make_request({}), {.checks_host = true}, caller);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->status, 400U);
  EXPECT_NE(refusal->body.find("the Host header is missing; send"), std::string::npos) << refusal->body;
  EXPECT_EQ(status_of(make_request({}), {.checks_host = false}), 200U);
}

TEST(Access, WebPagesNeedLeaveUnlessTheyAreOurs) {
  const AccessRules rules{.allowed_origins = {"https://good.example"}};
  const auto status = [&](const char* origin) {
    return status_of(make_request({{"Host", "localhost:7860"}, {"Origin", origin}}), rules);
  };
  EXPECT_EQ(status("http://localhost:7860"), 200U);
  EXPECT_EQ(status("https://good.example"), 200U);
  for (const char* origin :
       {"null", "http://localhost", "http://good.example", "https://good.example.evil", "https://evil"}) {
    EXPECT_EQ(status(origin), 403U) << origin;
  }
  EXPECT_EQ(allowed_origin(make_request({{"Origin", "https://good.example"}}), rules),
            "https://good.example");
  EXPECT_EQ(allowed_origin(make_request({{"Origin", "https://evil"}}), rules), "");
}

}  // namespace
}  // namespace touchstone::serve
