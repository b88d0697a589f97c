// Every template, conversation and expression renders to exactly what Jinja and Transformers make of it.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "support/golden.h"
#include "text/chat_template.h"

namespace touchstone {
namespace {

namespace json = boost::json;

struct Outcome {
  std::string text;
  std::string error;  // "Type: message"
};

template <typename Render>
Outcome run(std::string_view source, Render render) {
  try {
    return {.text = render(ChatTemplate::parse(source)), .error = {}};
  } catch (const TemplateError& error) {
    return {.text = {}, .error = error.type() + ": " + error.message()};
  }
}

std::string text_at(const json::object& object, std::string_view key) {
  return std::string(object.at(key).as_string());
}

/// What a case of ../chat expects.
Outcome expected(const json::object& golden) {
  if (const json::value* error = golden.if_contains("error")) {
    return {.text = {},
            .error = text_at(error->as_object(), "type") + ": " + text_at(error->as_object(), "message")};
  }
  return {.text = text_at(golden, "expected"), .error = {}};
}

RenderOptions options_of(const json::object& golden) {
  const json::value* now = golden.if_contains("now");
  return {.now = now != nullptr ? std::string(now->as_string()) : std::string()};
}

class Templates {
 public:
  explicit Templates(std::string folder) : folder_(std::move(folder)) {}
  const std::string& get(const json::object& golden) {
    const std::string name = text_at(golden, "template");
    const auto found = sources_.find(name);
    if (found != sources_.end()) return found->second;
    const auto path = testing::golden_dir() / folder_ / "templates" / (name + ".jinja");
    return sources_.emplace(name, testing::read_file(path)).first->second;
  }

 private:
  std::string folder_;
  std::map<std::string, std::string> sources_;
};

TEST(TemplateGolden, ConversationsRenderAsApplyChatTemplateDoes) {
  Templates templates("chat");
  const auto cases = testing::read_json_lines(testing::golden_dir() / "chat/chat_cases.jsonl");
  ASSERT_FALSE(cases.empty());
  for (const json::value& value : cases) {
    const json::object& golden = value.as_object();
    const Outcome outcome = run(templates.get(golden), [&](const ChatTemplate& chat_template) {
      return chat_template.render(golden.at("input").as_object(), {}, options_of(golden));
    });
    EXPECT_EQ(outcome.text, expected(golden).text) << golden.at("id");
    EXPECT_EQ(outcome.error, expected(golden).error) << golden.at("id");
  }
}

TEST(TemplateGolden, PlainRenderingKeepsNullsAndTellsWhereTheGeneratedTextLies) {
  Templates templates("chat");
  int kept_nulls = 0, with_spans = 0;
  for (const json::value& value : testing::read_json_lines(testing::golden_dir() / "chat/chat_cases.jsonl")) {
    const json::object& golden = value.as_object();
    const auto render = [&] {
      return ChatTemplate::parse(templates.get(golden))
          .render_plain(golden.at("input").as_object(), {}, options_of(golden));
    };
    if (const json::value* text = golden.if_contains("expected_with_nulls");
        text != nullptr && text->is_string()) {
      EXPECT_EQ(render().text, text->as_string()) << golden.at("id");
      ++kept_nulls;
    }
    if (const json::value* spans = golden.if_contains("generation_spans")) {
      json::array generated;
      for (const auto& [begin, end] : render().generated) generated.push_back(json::array{begin, end});
      EXPECT_EQ(json::serialize(generated), json::serialize(*spans)) << golden.at("id");
      ++with_spans;
    }
  }
  EXPECT_GT(kept_nulls, 0);
  EXPECT_GT(with_spans, 0);
}

TEST(TemplateGolden, ExpressionsHaveTheirValues) {
  const auto cases = testing::read_json_lines(testing::golden_dir() / "chat/expression_cases.jsonl");
  ASSERT_GT(cases.size(), 1U);
  const json::object& header = cases.front().as_object();
  for (std::size_t i = 1; i < cases.size(); ++i) {
    const json::object& golden = cases[i].as_object();
    const Outcome outcome = run(text_at(golden, "template"), [&](const ChatTemplate& chat_template) {
      return chat_template.render_plain(header.at("context").as_object(), {}, options_of(header)).text;
    });
    EXPECT_EQ(outcome.text, expected(golden).text) << golden.at("template");
    EXPECT_EQ(outcome.error, expected(golden).error) << golden.at("template");
  }
}

TEST(TemplateGolden, PublishedAndConstructedTemplatesRender) {
  Templates templates("templates");
  const auto cases = testing::read_json_lines(testing::golden_dir() / "templates/template_cases.jsonl");
  ASSERT_FALSE(cases.empty());
  for (const json::value& value : cases) {
    const json::object& golden = value.as_object();
    const Outcome outcome = run(templates.get(golden), [&](const ChatTemplate& chat_template) {
      return chat_template.render(golden.at("context").as_object());
    });
    const bool fails = golden.contains("error");
    EXPECT_EQ(outcome.text, fails ? "" : text_at(golden, "rendered")) << golden.at("template");
    EXPECT_EQ(outcome.error, fails ? text_at(golden, "error") : "") << golden.at("template");
  }
}

}  // namespace
}  // namespace touchstone
