// One answer as it grows: tokens -> thinking, text and tool calls.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "serve/openai_request.h"
#include "serve/tool_calls.h"
#include "text/reasoning.h"
#include "text/tokenizer.h"

namespace touchstone::serve {

/// A stretch of an answer that is of one kind.
struct AnswerBlock {
  enum class Kind : std::uint8_t { reasoning, text, call };
  Kind kind = Kind::text;
  std::string text;      // of a call: its arguments, JSON as the model writes it
  std::string id, name;  // of a call
};

/// Text for the end of a block.
struct AnswerPiece {
  std::size_t block = 0;  // its index in the answer: the last one, or a new one
  bool opens = false;     // the block begins
  std::string text;
};

struct TokenLogprob {
  std::int32_t id = 0;
  std::optional<double> logprob;  // nothing: of a text's first token
  std::vector<std::pair<std::int32_t, double>> top;
  std::int64_t text_offset = 0;  // of the token in the answer, in characters
};

/// What is new in an answer.
struct AnswerDelta {
  std::vector<AnswerPiece> pieces;
  std::vector<TokenLogprob> logprobs;
  bool is_first = false, is_last = false;
  bool says_nothing() const { return pieces.empty() && logprobs.empty() && !is_first && !is_last; }
};

/// What it gives piece by piece is, put together, the whole answer: there is one way to read an answer,
/// streamed or not.
class Choice {
 public:
  Choice(const CompletionRequest& request, const Prompt& prompt, std::size_t index);

  /// The prompt's tokens behind its first, which are listed before the answer's. Before all else.
  void take_prompt(std::span<const ScoredPosition> scores, const Tokenizer& tokenizer);
  AnswerDelta push(const TokenEvent& event, const Tokenizer& tokenizer);
  /// What was held back, and how the finished sample ended.
  AnswerDelta finish(const GeneratedSample& sample);

  std::size_t index() const { return index_; }
  const std::vector<AnswerBlock>& blocks() const { return blocks_; }
  /// The blocks of a kind, put together.
  std::string joined(AnswerBlock::Kind kind) const;
  /// How many calls there are before the block.
  std::size_t count_calls(std::size_t block) const;
  bool wants_logprobs() const { return wants_logprobs_; }
  const std::vector<TokenLogprob>& logprobs() const { return logprobs_; }
  bool has_tokens() const { return num_tokens_ > 0; }
  /// "stop", "loop", "length", "tool_calls", "cancelled" or "deadline"; empty before finish().
  const std::string& finish_reason() const { return finish_reason_; }
  /// At its own end or a stop string, and not behind calls: "stop" or "loop".
  bool stopped() const { return finish_reason_ == "stop" || finish_reason_ == "loop"; }
  /// The one that ended the answer, if one did.
  const std::string& stop_string() const { return stop_string_; }
  /// How many loops were cut from the thinking.
  std::int32_t loops() const { return loops_; }

 private:
  void add(AnswerBlock::Kind kind, std::string text, AnswerDelta& delta);
  void add_call(ToolCallDelta call, AnswerDelta& delta);
  void add_answer(ToolText text, AnswerDelta& delta);
  void read(std::string_view text, bool at_end, AnswerDelta& delta);
  void add_logprob(TokenLogprob logprob, const Tokenizer& tokenizer);
  bool lists(std::int32_t id) const;

  bool is_chat_, reads_tools_, wants_logprobs_;
  bool lists_all_;  // tokens, those of the prompt and the one that ends the answer, too
  std::size_t index_;
  std::string echo_;                    // text that stands before the answer
  std::vector<std::int32_t> stop_ids_;  // that end the answer, and are not part of it
  ReasoningSplitter splitter_;
  ToolCallParser tools_;
  std::int64_t num_tokens_ = 0;
  bool begun_ = false;
  std::vector<AnswerBlock> blocks_;
  std::vector<TokenLogprob> logprobs_;
  std::int64_t text_offset_ = 0;  // of the next token
  std::string finish_reason_, stop_string_;
  std::int32_t loops_ = 0;
};

}  // namespace touchstone::serve
