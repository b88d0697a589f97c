// What an answer was made from, and what came out, so that it can be made again: written beside the answer,
// read by `touchstone replay` (engine/replay.h).
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/model_hashes.h"

namespace touchstone {

struct ReceiptOutput {
  std::uint32_t sample = 0;  // its number among those of the seed
  std::vector<std::int32_t> ids;
  FinishReason finish_reason = FinishReason::stop;
  std::optional<std::int32_t> answered_after;  // tokens of thinking, when the client wanted the answer then
  std::string text_sha256;                     // of the answer, thinking removed
  std::string reasoning_sha256;                // of the thinking

  bool operator==(const ReceiptOutput&) const = default;
};

struct Receipt {
  static constexpr std::int64_t version = 1;  // of the form

  std::string model;  // what it was called
  ModelHashes hashes;
  std::string engine_version;
  std::string dtype, kv_dtype;
  std::int32_t context_tokens = 0;  // prompt and answer of one sequence
  std::vector<std::int32_t> prompt_ids;
  bool reasoning_opened = false;
  SamplingParams sampling;  // its num_logprobs changes no byte and is left out
  bool loop_guard = false;
  boost::json::value response_format;  // what make_constraint() takes; null: none
  std::vector<ReceiptOutput> outputs;
};

/// All but the hashes and the outputs. `context_tokens`: the engine's max_sequence_tokens().
Receipt begin_receipt(const LoadedModel& model, const GenerateRequest& request, std::int32_t context_tokens);

ReceiptOutput describe_output(std::uint32_t sample, const GeneratedSample& result);

boost::json::object to_json(const Receipt& receipt);

/// Throws Error that names the first member that is missing, of another type, or out of range. Ids are
/// checked against a vocabulary later: whether the engine takes them, and replay().
Receipt parse_receipt(const boost::json::value& value);

/// The grammar that a response_format of OpenAI's asks for, or a form of type tool_calls
/// (text/tool_call_grammar.h); null for none or text. Throws Error for another type, or a schema that cannot
/// be followed.
std::shared_ptr<const Grammar> make_constraint(const boost::json::value& response_format);

}  // namespace touchstone
